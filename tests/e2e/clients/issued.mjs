// Gets a bound token by client credentials, where the token endpoint demands a nonce too, and calls the API with it.
import * as oauth from 'oauth4webapi'
import { keyPair, run } from './harness.mjs'

await run(async (job) => {
  const insecure = { [oauth.allowInsecureRequests]: true }
  const issuer = new URL(job.issuer)
  const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure))
  const client = { client_id: job.client_id }
  const options = { ...insecure, DPoP: oauth.DPoP(client, await keyPair(job.jwk, job.alg)) }
  const again = (request) =>
    request().catch((error) => {
      if (!oauth.isDPoPNonceError(error)) throw error
      return request()
    })
  const issued = await again(async () => {
    const authentication = oauth.ClientSecretBasic(job.client_secret)
    const response = await oauth.clientCredentialsGrantRequest(
      server, client, authentication, { scope: 'orders:read' }, options)
    return oauth.processClientCredentialsResponse(server, client, response)
  })
  job.token = issued.access_token
  return (method, body) => again(() =>
    oauth.protectedResourceRequest(job.token, method, new URL(job.url), new Headers(), body, options))
})
