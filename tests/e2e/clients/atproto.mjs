// The fetch that a session of @atproto/oauth-client uses: remembers the nonce of every answer, retries once by itself.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { JoseKey } from '@atproto/jwk-jose'
import { run } from './harness.mjs'

const require = createRequire(import.meta.url)
const library = dirname(require.resolve('@atproto/oauth-client')) // which does not export it
const { dpopFetchWrapper } = require(join(library, 'fetch-dpop.js'))

await run(async ({ url, token, jwk, alg }) => {
  const key = await JoseKey.fromJWK({ ...jwk, alg })
  const dpopFetch = dpopFetchWrapper({ key, supportedAlgs: [alg], nonces: new Map(), isAuthServer: false })
  const headers = { authorization: `DPoP ${token}` }
  return (method, body) => dpopFetch(url, { method, body, headers })
})
