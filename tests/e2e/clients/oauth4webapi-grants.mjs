// Gets tokens from the authorization server by every grant, and calls the API with each.
import { text } from 'node:stream/consumers'
import * as oauth from 'oauth4webapi'
import { keyPair } from './harness.mjs'

const { issuer, api, jwk, redirect } = JSON.parse(await text(process.stdin))
const insecure = { [oauth.allowInsecureRequests]: true }
const url = new URL(issuer)
const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...insecure }))
const DPoP = oauth.DPoP({ client_id: 'any' }, await keyPair(jwk, 'ES256'))
const options = { DPoP, ...insecure }
const dpop_jkt = await DPoP.calculateThumbprint()
const challenged = []

// It remembers the nonce of each origin; the retry is its caller's.
async function retried(step, send) {
  return send().catch((error) => {
    if (!oauth.isDPoPNonceError(error)) throw error
    challenged.push(step)
    return send()
  })
}

async function whoami(token) {
  const response = await retried('api', () =>
    oauth.protectedResourceRequest(token.access_token, 'GET', new URL(api), undefined, undefined, options))
  return { token_type: token.token_type, ...(await response.json()) }
}

async function code(client, authentication, push) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  let wanted = {
    client_id: client.client_id, response_type: 'code', redirect_uri: redirect, scope: 'orders:read orders:write', state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', dpop_jkt,
  }
  if (push) {
    const { request_uri } = await retried('par', async () => oauth.processPushedAuthorizationResponse(
      as, client, await oauth.pushedAuthorizationRequest(as, client, authentication, wanted, options)))
    wanted = { client_id: client.client_id, request_uri }
  }
  const visited = await fetch(`${as.authorization_endpoint}?${new URLSearchParams(wanted)}`, { redirect: 'manual' })
  const parameters = oauth.validateAuthResponse(as, client, new URL(visited.headers.get('location')), state)
  return retried('token', async () => oauth.processAuthorizationCodeResponse(as, client, await
    oauth.authorizationCodeGrantRequest(as, client, authentication, parameters, redirect, verifier, options)))
}

const confidential = { client_id: 'demo' }
const secret = oauth.ClientSecretBasic('demo-secret')
const answers = {}
answers['client credentials'] = await whoami(await retried('token', async () =>
  oauth.processClientCredentialsResponse(as, confidential, await
    oauth.clientCredentialsGrantRequest(as, confidential, secret, { scope: 'orders:read' }, options))))
answers['pushed code'] = await whoami(await code(confidential, oauth.ClientSecretPost('demo-secret'), true))
const app = { client_id: 'demo-app' }
const token = await code(app, oauth.None(), false)
answers['public code'] = await whoami(token)
answers['refresh token'] = await whoami(await retried('token', async () => oauth.processRefreshTokenResponse(
  as, app, await oauth.refreshTokenGrantRequest(as, app, oauth.None(), token.refresh_token, options))))
console.log(JSON.stringify({ answers, challenged }))
