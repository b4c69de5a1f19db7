// Makes proofs only: nonces and the retry are done here, as its documentation says.
import * as DPoP from 'dpop'
import { keyPair, run } from './harness.mjs'

await run(async ({ url, token, jwk, alg }) => {
  const keys = await keyPair(jwk, alg)
  let nonce
  const request = async (method, body) => {
    const proof = await DPoP.generateProof(keys, url, method, nonce, token)
    const response = await fetch(url, { method, body, headers: { authorization: `DPoP ${token}`, dpop: proof } })
    nonce = response.headers.get('dpop-nonce') ?? nonce
    return response
  }
  return async (method, body) => {
    const response = await request(method, body)
    return response.status === 401 ? request(method, body) : response
  }
})
