// An authorization server (oidc-provider) that binds its tokens and demands a nonce at its token endpoint. It reads from
// stdin on which port, with which keys, and which clients there are; the client `opaque` gets opaque tokens.
import { randomBytes } from 'node:crypto'
import { text } from 'node:stream/consumers'
import Provider from 'oidc-provider'

const { port, keys, clients, resource } = JSON.parse(await text(process.stdin))
const scope = 'orders:read orders:write'

const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys },
  scopes: scope.split(' '),
  clientDefaults: { id_token_signed_response_alg: 'ES256', response_types: [], redirect_uris: [], grant_types: [] },
  clients,
  cookies: { keys: [randomBytes(16).toString('hex')] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    revocation: { enabled: true },
    introspection: { enabled: true, allowedPolicy: async (_, client) => client.clientId.startsWith('api') },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    resourceIndicators: {
      enabled: true,
      defaultResource: async () => resource,
      getResourceServerInfo: async (_, audience, { clientId }) => ({
        scope,
        audience,
        accessTokenTTL: 300,
        ...(clientId === 'opaque'
          ? { accessTokenFormat: 'opaque' }
          : { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }),
      }),
    },
  },
})
provider.listen(port, '127.0.0.1')
