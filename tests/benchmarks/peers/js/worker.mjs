// Verifies in process. Reads jobs from stdin, a line of JSON each, and answers each with a line.
import crypto from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { api, bearer, webapi } from './peers.mjs'

const { host } = new URL(api.origin)

// What Express hands to a middleware, without the cost of Express.
function expressRequest({ method, target, headers }) {
  const fields = Object.fromEntries([['host', host], ...headers])
  const get = (name) => fields[name.toLowerCase()]
  const app = { get: () => undefined }
  return { method, url: target, originalUrl: target, protocol: 'http', headers: fields, query: {}, get, app, is: () => false }
}

const contenders = {
  'express-oauth2-jwt-bearer': () => {
    const middleware = bearer()
    return {
      prepare: expressRequest,
      verify: (request) =>
        new Promise((accept, refuse) => middleware(request, {}, (error) => (error ? refuse(error) : accept()))),
    }
  },
  oauth4webapi: () => ({
    prepare: ({ method, target, headers }) => new Request(api.origin + target, { method, headers }),
    verify: webapi(),
  }),
  'node:crypto': () => {
    const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const message = crypto.randomBytes(400)
    const signature = crypto.sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })
    const key = { key: publicKey, dsaEncoding: 'ieee-p1363' }
    return { prepare: () => message, verify: async () => crypto.verify('sha256', message, key, signature) }
  },
}

const { prepare, verify } = contenders[process.argv[2]]()

async function measure({ requests, at_a_time }) {
  const prepared = requests.map(prepare).values()
  const one = async () => {
    for (const request of prepared) await verify(request)
  }
  const [cpu, begin] = [process.cpuUsage(), performance.now()]
  await Promise.all(Array.from({ length: at_a_time }, one))
  const [seconds, { user, system }] = [(performance.now() - begin) / 1e3, process.cpuUsage(cpu)]
  return { seconds, cpu: (user + system) / 1e6 }
}

function versions() {
  const packages = Object.keys(readJSON('package.json').dependencies)
  const installed = packages.map((name) => [name, readJSON(`node_modules/${name}/package.json`).version])
  return { node: process.versions.node, 'OpenSSL of node': process.versions.openssl, ...Object.fromEntries(installed) }
}

const readJSON = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url)))

for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line)
  const answer = job.requests ? await measure(job) : { nonce: null, versions: versions() }
  console.log(JSON.stringify(answer))
}
