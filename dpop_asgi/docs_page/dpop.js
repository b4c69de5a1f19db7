/**
 * Signs a page's requests with DPoP (RFC 9449). An ES module without dependencies:
 *
 *     import { openSigner } from "./dpop.js";
 *     const signer = await openSigner({ origins: ["https://api.example.com"] });
 *     const response = await signer.fetch(url, { headers: { Authorization: `DPoP ${token}` } });
 *
 * The browser makes the key and keeps it in IndexedDB: it is the same after a reload, and no script can read it.
 */

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const utf8 = (text) => new TextEncoder().encode(text);
const base64url = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
const sha256 = async (text) => base64url(await crypto.subtle.digest("SHA-256", utf8(text)));

/**
 * A signer with the key that is stored as `name`, or with a new one. Works over https and on localhost only.
 *
 * Requests to `origins` get a proof, others are sent as they are. `onresponse(response, request)` is called with each
 * response, also with the one that makes the signer try again.
 */
export async function openSigner({ origins = [location.origin], name = "dpop", onresponse = () => {} } = {}) {
  if (!globalThis.crypto?.subtle) throw new Error("DPoP needs WebCrypto: open this page over https or on localhost.");
  const nonces = new Map(); // one per origin (RFC 9449 §8.2)
  let key = (await stored(name)) ?? (await stored(name, await newKey()));
  return {
    /** What a token for this key has in `cnf.jkt`, and `dpop_jkt` of an authorization request (RFC 9449 §10). */
    get thumbprint() {
      return key.thumbprint;
    },

    /** As the global `fetch`, but signed. Tries once more if the server asks for its nonce. */
    async fetch(input, init) {
      const request = new Request(input, init);
      const { origin } = new URL(request.url);
      if (!origins.includes(origin)) return fetch(request);
      // A proof is for one URL: by default it is not sent on to where a redirect leads.
      const redirect = init?.redirect ?? (request.redirect === "follow" ? "error" : request.redirect);
      const token = /^DPoP +(\S+)$/i.exec(request.headers.get("Authorization"))?.[1];
      for (let attempt = 1; ; attempt++) {
        const headers = new Headers(request.headers);
        headers.set("DPoP", await this.proof(request.method, request.url, token, nonces.get(origin)));
        const response = await fetch(request.clone(), { headers, redirect });
        // Where a redirect has led to may be elsewhere: its nonce is not for proofs for this origin.
        const nonce = response.redirected ? null : response.headers.get("DPoP-Nonce");
        if (nonce) nonces.set(origin, nonce);
        onresponse(response, request);
        if (attempt === 2 || !nonce || !(await asksForNonce(response))) return response;
      }
    },

    /** A proof (RFC 9449 §4.2), for what `fetch` can't do. Without `token` it is for a token endpoint. */
    async proof(method, url, token, nonce) {
      const { origin, pathname } = new URL(url);
      const header = { typ: "dpop+jwt", alg: "ES256", jwk: key.jwk };
      const iat = Math.floor(Date.now() / 1000);
      const claims = { jti: crypto.randomUUID(), htm: method, htu: origin + pathname, iat, nonce };
      if (token) claims.ath = await sha256(token);
      const signed = [header, claims].map((part) => base64url(utf8(JSON.stringify(part)))).join(".");
      return `${signed}.${base64url(await crypto.subtle.sign(ALGORITHM, key.privateKey, utf8(signed)))}`;
    },

    /** Replaces the key by a new one, or by a private P-256 JWK. Tokens for the old key can't be used any more. */
    async replaceKey(jwk) {
      key = await stored(name, await newKey(jwk), true);
    },
  };
}

/** A resource server asks in its challenge (RFC 9449 §9), an authorization server in the body (§8). */
async function asksForNonce(response) {
  if (response.status === 401) return /\bDPoP\b.*error="use_dpop_nonce"/i.test(response.headers.get("WWW-Authenticate"));
  return response.status === 400 && (await response.clone().json().catch(() => null))?.error === "use_dpop_nonce";
}

async function newKey(jwk) {
  const pair = jwk === undefined ? await crypto.subtle.generateKey(ALGORITHM, false, ["sign"]) : null;
  const { kty, crv, x, y } = pair ? await crypto.subtle.exportKey("jwk", pair.publicKey) : jwk;
  const privateKey =
    pair?.privateKey ?? (await crypto.subtle.importKey("jwk", { kty, crv, x, y, d: jwk.d }, ALGORITHM, false, ["sign"]));
  return { privateKey, jwk: { kty, crv, x, y }, thumbprint: await sha256(JSON.stringify({ crv, kty, x, y })) };
}

/** The key stored as `name`. If there is none, or to `replace` it, `key` is stored: of two tabs the first one wins. */
function stored(name, key, replace = false) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("dpop-keys", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("keys");
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction("keys", "readwrite");
      const found = transaction.objectStore("keys").get(name);
      found.onsuccess = () => key && (replace || !found.result) && found.source.put(key, name);
      transaction.onabort = () => reject(transaction.error);
      transaction.oncomplete = () => (opening.result.close(), resolve(replace ? key : found.result ?? key));
    };
  });
}
