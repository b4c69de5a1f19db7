/** What tokens and responses mean, for somebody who doesn't know DPoP. */

/** The claims of a JWT, or `null` if it isn't one. Nothing is verified: the server does that. */
export function claimsOf(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}

/** Whether a token will do, before it is sent: `{ text, verdict }`. */
export function describeToken(token, thumbprint) {
  if (!token) {
    return { text:
      "Paste a token that your authorization server has issued for the key of step 1. If this API describes an OAuth flow, " +
      "“Authorize” below gets one. If you have a token for another key, use that key in step 1." };
  }
  const claims = claimsOf(token);
  if (!claims) return { text: "The content of this token can't be read here. The server will tell whether it is for this key." };
  const bound = claims.cnf?.jkt;
  if (!bound) return { text: "This token isn't bound to any key (a Bearer token). It will be rejected.", verdict: "bad" };
  if (bound !== thumbprint) {
    return { text:
      `This token was issued for another key (${bound}), so it will be rejected. Get a token for the key of this page, or ` +
      "use the other key here.", verdict: "bad" };
  }
  const seconds = claims.exp - Date.now() / 1000;
  if (seconds <= 0) return { text: "This token was issued for this key, but has expired.", verdict: "bad" };
  const facts = [claims.sub && `user ${claims.sub}`, claims.scope && `scope ${claims.scope}`, lasting(seconds)];
  return { text: `Issued for this key: ${facts.filter(Boolean).join(", ")}.`, verdict: "good" };
}

const lasting = (seconds) => (seconds < 120 ? `valid for ${Math.round(seconds)} seconds` : `valid for ${Math.round(seconds / 60)} minutes`);

/** A response in words. `before` is the number of responses that this request has had already. */
export function describeResponse(response, request, before) {
  const said = `${before ? "Second attempt, signed with the nonce" : "Signed and sent"}. Response ${response.status}: `;
  const challenge = response.headers.get("WWW-Authenticate") ?? "";
  const told = (name) => new RegExp(`\\b${name}="((?:[^"\\\\]|\\\\.)*)"`).exec(challenge)?.[1];
  if (response.ok) return { text: `${said}accepted.`, verdict: "good" };
  if (response.status === 503) return { text: `${said}the server can't check requests at the moment.`, verdict: "bad" };
  // An authorization server asks for its nonce in the body (RFC 9449 §8).
  const error = told("error") ?? (response.status === 400 && response.headers.has("DPoP-Nonce") ? "use_dpop_nonce" : "");
  const explain = EXPLAINED[error];
  if (explain) return { text: said + explain(told), verdict: error === "use_dpop_nonce" && !before ? "" : "bad" };
  if (response.status === 401 && challenge && !request.headers.has("Authorization")) {
    return { text: `${said}an access token is missing. Paste one in step 2, at the top of this page.`, verdict: "bad" };
  }
  return { text: `${said}${response.statusText || "see the response below"}.` };
}

const EXPLAINED = {
  use_dpop_nonce: () =>
    "this is normal. The server wants its current nonce in the signature, a value that changes every minute or so, so that " +
    "no one can sign requests in advance. This response brought the nonce along.",
  invalid_token: (told) => `the access token isn't accepted. ${told("error_description") ?? ""}`,
  invalid_dpop_proof: (told) => `the proof isn't accepted. ${told("error_description") ?? ""}`,
  insufficient_scope: (told) => `the token is valid, but lacks a permission. Needed scope: ${told("scope") ?? "unknown"}.`,
  insufficient_user_authentication: (told) =>
    "the token is valid, but the user has to sign in again" +
    (told("acr_values") ? `, in the way that is called ${told("acr_values")}` : "") +
    (told("max_age") ? `, and not longer than ${told("max_age")} seconds ago` : "") + ".",
};
