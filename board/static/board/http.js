// Requests to the server, and its errors as text.

export class ApiError extends Error {
  constructor(status, error) {
    super(error?.message || `The server returned an error (${status}).`);
    this.status = status;
    this.code = error?.code || "";
  }
}

function cookie(name) {
  const pair = document.cookie.split("; ").find((each) => each.startsWith(`${name}=`));
  return pair ? decodeURIComponent(pair.slice(name.length + 1)) : "";
}

export async function request(path, { method = "GET", body, headers = {}, timeout = 15_000 } = {}) {
  const options = { method, headers: { Accept: "application/json", ...headers }, signal: AbortSignal.timeout(timeout) };
  if (method !== "GET") {
    options.headers["X-CSRFToken"] = cookie("csrftoken");
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body ?? {});
  }
  const response = await fetch(path, options);
  const text = await response.text();
  const json = response.headers.get("Content-Type")?.includes("json") && text ? JSON.parse(text) : null;
  if (!response.ok) throw new ApiError(response.status, json?.error);
  return json ?? text;
}

export async function fetchFragment(path) {
  const response = await fetch(path, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(15_000) });
  if (response.redirected) throw new ApiError(401, { message: "You are logged out. Log in again." });
  if (!response.ok && response.status !== 404) throw new ApiError(response.status);
  return response.text();
}

export function errorText(error) {
  if (error instanceof ApiError) return error.message;
  return error.name === "TimeoutError" ? "The server did not respond in time." : "The server cannot be reached.";
}
