// What every program here does: read a job from stdin, send its requests, and print what was seen on the wire as JSON.
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import * as jose from 'jose'

// `connect(job)` makes a client and returns its `send(method, body)`, which resolves to the Response the client sees.
export async function run(connect) {
  const job = JSON.parse(await text(process.stdin))
  const wire = watchFetch(job.url)
  const send = await connect(job)
  const answers = []
  for (let number = 0; number < job.requests; number++) {
    const response = number % 2 ? await send('GET') : await send('POST', JSON.stringify({ number }))
    answers.push({ status: response.status, ...(await response.json()) })
    await pause(job.pause * 1000)
  }
  console.log(JSON.stringify({ answers, wire, token: job.token }))
}

function watchFetch(url) {
  const wire = []
  const fetch = globalThis.fetch
  globalThis.fetch = async (input, init) => {
    if (String(input.url ?? input) !== url) return fetch(input, init) // of the authorization server
    const { nonce } = jose.decodeJwt(new Headers(init?.headers ?? input.headers).get('dpop'))
    const asked_at = Date.now() / 1000
    const response = await fetch(input, init)
    const answered_at = Date.now() / 1000
    const challenge = response.headers.get('www-authenticate')
    wire.push({ asked_at, answered_at, status: response.status, challenge, nonce: nonce ?? null })
    return response
  }
  return wire
}

export async function keyPair(jwk, alg) {
  const { kty, crv, x, y, n, e } = jwk
  const members = Object.entries({ kty, crv, x, y, n, e }).filter(([, value]) => value !== undefined)
  return {
    privateKey: await jose.importJWK(jwk, alg),
    publicKey: await jose.importJWK(Object.fromEntries(members), alg, { extractable: true }),
  }
}
