// The two libraries, each as strict as it can be set up.
import { auth } from 'express-oauth2-jwt-bearer'
import * as oauth from 'oauth4webapi'

export const api = JSON.parse(process.env.PEER_API)

// Tokens of one algorithm only, the claims of RFC 9068, DPoP only. Proofs: it takes no list of algorithms.
export const bearer = () =>
  auth({
    issuer: api.issuer,
    audience: api.audience,
    publicKey: api.jwks,
    tokenSigningAlg: 'ES256',
    strict: true,
    dpop: { enabled: true, required: true, iatOffset: api.max_age, iatLeeway: api.max_age },
  })

// One list of algorithms for tokens and proofs. The keys are there: nothing is ever fetched from elsewhere.
export function webapi() {
  const issuer = { issuer: api.issuer, jwks_uri: `${api.issuer}/jwks` }
  const options = {
    requireDPoP: true,
    signingAlgorithms: api.algorithms,
    [oauth.customFetch]: async () => Response.json(api.jwks),
  }
  return (request) => oauth.validateJwtAccessToken(issuer, request, api.audience, options)
}
