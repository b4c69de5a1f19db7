// An API of one route, behind either library.
import http from 'node:http'
import express from 'express'
import { api, bearer, webapi } from './peers.mjs'

function withExpress() {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag') // work that no other server here does
  app.use(bearer())
  app.use((request, response) => {
    const { sub, cnf } = request.auth.payload
    response.json({ sub, jkt: cnf.jkt })
  })
  app.use((error, _request, response, _next) => {
    response.status(error.status ?? 500).set(error.headers ?? {}).json({ error: error.code ?? 'server_error' })
  })
  return http.createServer(app)
}

function withWebapi() {
  const verify = webapi()
  return http.createServer(async (incoming, response) => {
    let [status, body] = [200, null]
    try {
      const { sub, cnf } = await verify(new Request(api.origin + incoming.url, { method: incoming.method, headers: headersOf(incoming) }))
      body = { sub, jkt: cnf.jkt }
    } catch (error) {
      ;[status, body] = [error.code || error instanceof TypeError ? 401 : 500, { error: error.message }]
    }
    const content = JSON.stringify(body)
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(content) })
    response.end(content)
  })
}

// Every line, as it came: `incoming.headers` has dropped the second of two Authorization fields.
function headersOf({ rawHeaders }) {
  const headers = new Headers()
  for (let at = 0; at < rawHeaders.length; at += 2) headers.append(rawHeaders[at], rawHeaders[at + 1])
  return headers
}

const servers = { 'express-oauth2-jwt-bearer': withExpress, oauth4webapi: withWebapi }
servers[process.argv[2]]().listen(Number(process.argv[3]), '127.0.0.1')
