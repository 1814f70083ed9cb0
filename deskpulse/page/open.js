// Stands where a link led to something that needs the token: asks for it with the token and shows it here.

import { asked, signIn } from "./token.js";

async function fetchAndShow() {
  let answer = await asked(location.href);
  while (answer.status === 401) {
    await signIn();
    answer = await asked(location.href);
  }
  const text = await answer.text();
  if (answer.headers.get("Content-Type")?.startsWith("text/html")) {
    const found = new DOMParser().parseFromString(text, "text/html");
    document.documentElement.replaceWith(document.adoptNode(found.documentElement));
  } else {
    const shown = document.createElement("pre");
    shown.textContent = text;
    document.body.replaceChildren(shown);
  }
}

fetchAndShow();
