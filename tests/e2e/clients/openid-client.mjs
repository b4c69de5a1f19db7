// Remembers the nonce of every answer, and retries once by itself.
import * as client from 'openid-client'
import { keyPair, run } from './harness.mjs'

await run(async ({ url, token, jwk, alg }) => {
  const config = new client.Configuration({ issuer: 'https://id.example.com' }, 'demo-client')
  client.allowInsecureRequests(config)
  const DPoP = client.getDPoPHandle(config, await keyPair(jwk, alg))
  return (method, body) =>
    client.fetchProtectedResource(config, token, new URL(url), method, body, undefined, { DPoP })
})
