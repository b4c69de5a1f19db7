// Remembers the nonce of every answer; leaves the retry after a challenge to its caller.
import * as oauth from 'oauth4webapi'
import { keyPair, run } from './harness.mjs'

await run(async ({ url, token, jwk, alg }) => {
  const named = { [oauth.modifyAssertion]: (header) => { header.alg = alg } } // it calls EdDSA by its new name, Ed25519
  const DPoP = oauth.DPoP({ client_id: 'demo-client' }, await keyPair(jwk, alg), named)
  const options = { DPoP, [oauth.allowInsecureRequests]: true }
  const request = (method, body) =>
    oauth.protectedResourceRequest(token, method, new URL(url), new Headers(), body, options)
  return (method, body) =>
    request(method, body).catch((error) => {
      if (!oauth.isDPoPNonceError(error)) throw error
      return request(method, body)
    })
})
