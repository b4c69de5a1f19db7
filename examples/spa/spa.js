import { openSigner } from "./dpop.js";

const byId = (id) => document.getElementById(id);
const { api } = await (await fetch("settings.json")).json();
const options = { origins: [api], onresponse: log };
const signer = await openSigner({ ...options, name: "spa" });
let token = null;

byId("site").textContent = location.origin;
byId("api").textContent = api;
byId("thumbprint").textContent = signer.thumbprint;
byId("sign-in").onclick = signIn;
byId("call").onclick = () => call(signer);
byId("steal").onclick = async () => call(await openSigner({ ...options, name: "thief" }));

/** Stands for the redirects of your authorization server's client library, which binds the token to the key. */
async function signIn() {
  const response = await fetch(`token?jkt=${signer.thumbprint}`, { method: "POST" });
  token = (await response.json()).access_token;
  byId("token").textContent = "The token is bound to the key of this browser.";
}

async function call(as) {
  byId("log").replaceChildren();
  const response = await as.fetch(`${api}/orders`, { headers: token ? { Authorization: `DPoP ${token}` } : {} });
  const refused = !token ? "The API has rejected the request: there is no token yet. Sign in first."
    : as === signer ? "The API has rejected the request." : "Rejected: the token is useless without its key.";
  say(response.ok ? `Accepted. The API says: ${await response.text()}` : refused);
}

/** The browser shows other origins' headers to scripts only if the API exposes them. */
function log(response) {
  const challenge = response.headers.get("WWW-Authenticate") ?? "none";
  const nonce = response.headers.get("DPoP-Nonce") ?? "as before";
  const normal = challenge.includes("use_dpop_nonce") ? " This is normal: dpop.js now signs again, with the nonce." : "";
  say(`Response ${response.status}. Challenge: ${challenge}. Nonce: ${nonce}.${normal}`);
}

function say(text) {
  byId("log").append(Object.assign(document.createElement("li"), { textContent: text }));
}
