// Verifies one request after the other. The first line on stdin says for which API; each that follows is a batch of
// requests, and answered by how long it took: in seconds, by the clock and of processor time.
import { createInterface } from 'node:readline'
import * as oauth from 'oauth4webapi'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const read = async () => JSON.parse((await lines.next()).value ?? 'null')

const { issuer, uri, audience, jwks } = await read()
const server = { issuer, jwks_uri: `${issuer}/jwks` }
// One list of algorithms for tokens and proofs. The keys are there: nothing is ever fetched from elsewhere.
const options = {
  requireDPoP: true,
  signingAlgorithms: ['ES256'],
  [oauth.customFetch]: async () => Response.json(jwks),
}

for (let batch; (batch = await read()); ) {
  const requests = batch.map(([authorization, dpop]) => new Request(uri, { headers: { authorization, dpop } }))
  const [cpu, begin] = [process.cpuUsage(), performance.now()]
  for (const request of requests) await oauth.validateJwtAccessToken(server, request, audience, options)
  const [seconds, { user, system }] = [(performance.now() - begin) / 1e3, process.cpuUsage(cpu)]
  console.log(JSON.stringify([seconds, (user + system) / 1e6]))
}
