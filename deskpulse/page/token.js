// The worker's token, where it asks for one. It is kept for this tab only and goes out as a header, never as a part of
// an address that a log could keep. A link may bring it behind a `#`, which browsers do not send.

const KEY = "deskpulse-token";
const TOKEN = "[A-Za-z0-9._~+\\/=\\-]{16,}";

const brought = location.hash.match(new RegExp(`^#token=(${TOKEN})$`));
if (brought) {
  sessionStorage.setItem(KEY, brought[1]);
  history.replaceState(null, "", location.pathname + location.search);
}

export function asked(address, options = {}) {
  const token = sessionStorage.getItem(KEY);
  const headers = { ...options.headers, ...(token === null ? {} : { Authorization: `Bearer ${token}` }) };
  return fetch(address, { cache: "no-store", ...options, headers });
}

function made(tag, attributes, ...children) {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

// Asks the reader for the token; done once one was given.
export function signIn() {
  const again = sessionStorage.getItem(KEY) !== null;
  const input = made("input", {
    type: "password", id: "token", required: true, pattern: TOKEN, title: "16 characters or more, without spaces", autocomplete: "current-password",
  });
  const told = again ? "The worker does not know that token." : "This worker asks for its token.";
  const form = made("form", {}, made("label", { htmlFor: "token" }, told), input, made("button", {}, "Open"));
  const dialog = made("dialog", { id: "sign-in" }, form);
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEY, input.value);
      dialog.remove();
      resolve();
    });
    dialog.showModal();
  });
}
