/** Hands the answer of the authorization server to Swagger UI in the window that opened this one. */
const { auth, state, redirectUrl, callback, errCb } = window.opener.swaggerUIRedirectOauth2;
const answer = Object.fromEntries(new URLSearchParams(location.search || location.hash.slice(1)));
const problem = answer.error
  ? `${answer.error}: ${answer.error_description ?? "no description"}`
  : answer.state !== state && "The state is not the one that was sent.";

if (problem) {
  errCb({ authId: auth.name, source: "auth", level: "error", message: problem });
} else if (answer.code) {
  callback({ auth: { ...auth, code: answer.code }, redirectUrl });
} else {
  callback({ auth, token: answer, isValid: true, redirectUrl });
}
window.close();
