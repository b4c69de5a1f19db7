/** Swagger UI whose requests are signed, and a panel that says what happened. */
import { openSigner } from "./dpop.js";
import { describeResponse, describeToken } from "./words.js";

const byId = (id) => document.getElementById(id);
const settings = byId("swagger-ui").dataset;
const origins = [location.origin, ...settings.origins.split(" ").filter(Boolean)];
const absolute = (url) => new URL(url, location.href).href;

/** The text of an element, marked as good, bad or neither. */
function show(element, { text, verdict = "" }) {
  element.textContent = text;
  element.className = verdict;
}

// The key and the token

let signer = null, ui = null;
const token = () => byId("dpop-token").value.trim().replace(/^(DPoP|Bearer) +/i, "");

function showKey() {
  byId("dpop-thumbprint").textContent = signer.thumbprint;
  showToken();
}

function showToken() {
  const said = describeToken(token(), signer.thumbprint);
  show(byId("dpop-token-status"), said);
  if (ui) showPadlocks(token() !== "" && said.verdict !== "bad");
}

/** Those of Swagger UI are closed while there is a token that will do. It need not know the token. */
function showPadlocks(closed) {
  for (const [name, { scheme }] of Object.entries(described().components?.securitySchemes ?? {})) {
    if (!isDPoP(scheme)) continue;
    if (closed) ui.preauthorizeApiKey(name, "in the panel");
    else ui.getSystem().authActions.logout([name]);
  }
}

async function replaceKey(jwk) {
  try {
    await signer.replaceKey(jwk && JSON.parse(jwk));
    byId("dpop-jwk").value = "";
    show(byId("dpop-key-status"), { text: jwk ? "This key is used from now on." : "A new key was made.", verdict: "good" });
    showKey();
  } catch {
    show(byId("dpop-key-status"), { text: "This is not a private P-256 key in JWK form.", verdict: "bad" });
  }
}

// What happened

const history = new Map(); // the steps of each operation's last request
let steps = [];

function begin(method, url) {
  history.set(`${method} ${url}`, (steps = []));
  const list = Object.assign(document.createElement("ul"), { className: "dpop-steps" });
  byId("dpop-log").replaceChildren(Object.assign(document.createElement("b"), { textContent: `${method.toUpperCase()} ${new URL(url).pathname}` }), list);
}

function log(step) {
  steps.push(step);
  const item = document.createElement("li");
  show(item, step);
  byId("dpop-log").querySelector("ul").append(item);
}

document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) => {
  if (effectiveDirective !== "connect-src") return;
  const text = `This page isn't allowed to call ${blockedURI}. Add its origin: docs_page(app, origins=[…]).`;
  log({ text, verdict: "bad" });
});

// Requests

const described = () => ui.getSystem().specSelectors.specJson().toJS();

function isTokenEndpoint(url) {
  const flows = Object.values(described().components?.securitySchemes ?? {}).flatMap((scheme) => Object.values(scheme.flows ?? {}));
  const path = ({ origin, pathname }) => origin + pathname;
  return flows.some(({ tokenUrl }) => tokenUrl && path(new URL(tokenUrl, absolute(settings.openapiUrl))) === path(new URL(url)));
}

/** As `fetch`: signed, with the token of the panel, and written down. */
async function send(url, request) {
  const headers = new Headers(request.headers), target = absolute(url), asksForToken = isTokenEndpoint(target);
  const known = origins.includes(new URL(target).origin);
  // Swagger UI remembers a token of its own after signing in; the one in the panel may be newer.
  const replaceable = /^(DPoP .*)?$/i.test(headers.get("Authorization") ?? "");
  if (token() && known && !asksForToken && replaceable) headers.set("Authorization", `DPoP ${token()}`);
  begin(request.method ?? "GET", target);
  try {
    const response = await signer.fetch(target, { ...request, headers });
    if (!known) log({ text: `Sent without token and proof: ${new URL(target).origin} is not one of this page's origins.` });
    if (asksForToken && response.ok) await take(response.clone());
    return response;
  } catch (error) {
    log({
      text:
        "No response arrived. Is the server running, and does its CORS configuration allow this page? A redirect is not " +
        "followed: a signature is for one URL.", verdict: "bad" });
    throw error;
  }
}

/** The token that the authorization server has issued goes into the panel. */
async function take(response) {
  byId("dpop-token").value = (await response.json()).access_token ?? "";
  showToken();
}

function requestInterceptor(request) {
  if (!request.loadSpec && signer) request.userFetch = send;
  return request;
}

// Swagger UI

const isDPoP = (scheme) => scheme?.toLowerCase() === "dpop";

function scopesOf(security) {
  const needed = security?.toJS?.() ?? [];
  return [...new Set(needed.flatMap((schemes) => Object.values(schemes).flat()))].join(", ");
}

const plugin = ({ React: { createElement: h } }) => ({
  wrapComponents: {
    // It knows no scheme but Basic and Bearer.
    HttpAuth: (Original) => (props) =>
      isDPoP(props.schema?.get("scheme"))
        ? h("div", { className: "dpop-scheme" }, h("h4", null, h("code", null, props.name), " (http, DPoP)"),
            h("p", null, "Enter the access token in the panel at the top of the page: it signs every request."))
        : h(Original, props),
    // It shows scopes of OAuth only.
    OperationSummary: (Original) => (props) => {
      const scopes = scopesOf(props.operationProps?.get("security"));
      return h("div", null, h(Original, props), scopes && h("div", { className: "dpop-note dpop-scopes" }, `Needs scope ${scopes}`));
    },
    curl: (Original) => (props) => {
      const { method, url } = props.request.toJS(), taken = history.get(`${method} ${absolute(url)}`) ?? [];
      return h("div", null,
        taken.length > 0 && h("h4", null, "How it was signed"),
        h("ul", { className: "dpop-steps" }, taken.map(({ text, verdict }, key) => h("li", { key, className: verdict }, text))),
        h(Original, props),
        h("p", { className: "dpop-note" },
          "This command would be rejected: its DPoP header is left out, because a proof works only once."));
    },
  },
});

async function start() {
  try {
    signer = await openSigner({
      origins,
      name: "docs",
      onresponse: (response, request) => log(describeResponse(response, request, steps.length)),
    });
    showKey();
  } catch (error) {
    show(byId("dpop-token-status"), { text: error.message, verdict: "bad" });
  }
  ui = window.SwaggerUIBundle({
    url: settings.openapiUrl,
    dom_id: "#swagger-ui",
    deepLinking: true,
    validatorUrl: null,
    oauth2RedirectUrl: absolute(settings.redirectUrl),
    presets: [window.SwaggerUIBundle.presets.apis],
    plugins: [plugin],
    requestInterceptor,
  });
  const additionalQueryStringParams = signer ? { dpop_jkt: signer.thumbprint } : {};
  ui.initOAuth({ usePkceWithAuthorizationCodeGrant: true, additionalQueryStringParams });
}

byId("dpop-token").addEventListener("input", showToken);
byId("dpop-copy").addEventListener("click", () => navigator.clipboard.writeText(signer.thumbprint));
byId("dpop-import").addEventListener("click", () => replaceKey(byId("dpop-jwk").value || "{}"));
byId("dpop-new").addEventListener("click", () => replaceKey());
start();
