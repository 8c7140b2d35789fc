// Requests to the server, and what is said of them. Nothing is asked of any other host.

export const $ = (selector, root = document) => root.querySelector(selector);
// a reloaded page finds its session again; a new tab, or a copy of one, has its own
const reloaded = performance.getEntriesByType('navigation')[0]?.type === 'reload';
let session = (reloaded && sessionStorage.getItem('session')) || 'new';
let reopen = async () => {};

/** What to do when the server no longer knows this visitor: it was started anew. */
export function onNewSession(action) { reopen = action; }

export async function start() {
  const answer = await request('start', {});
  session = answer.session;
  sessionStorage.setItem('session', session);
  return answer;
}

/** Ask for something; `progress(done, total, ahead)` hears of long work, `signal` stops it. `null`: a newer one came. */
export async function ask(name, body = {}, { progress, signal, headers, raw } = {}) {
  try {
    return await request(name, body, { progress, signal, headers, raw });
  } catch (error) {
    if (!error.ended) throw error;
    session = 'new';
    await reopen();
    return request(name, body, { progress, signal, headers, raw });
  }
}

async function request(name, body, { progress, signal, headers = {}, raw = false } = {}) {
  let response;
  try {
    response = await fetch('api/' + name, {
      method: 'POST',
      headers: { 'x-session': session, ...(raw ? {} : { 'content-type': 'application/json' }), ...headers },
      body: raw ? body : JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (error.name === 'AbortError') return null;
    throw new Error('the server does not answer: is it still running?');
  }
  let answer = {};
  if (response.headers.get('content-type')?.includes('ndjson')) {
    try {
      for await (const line of lines(response.body)) {
        if ('done' in line) progress?.(line.done, line.total, line.ahead);
        else answer = line;
      }
    } catch (error) {
      if (error.name === 'AbortError') return null;
      throw new Error('the server stopped answering');
    }
    if (answer.result) return answer.result;
  } else {
    answer = await response.json();
  }
  if (answer.dropped) return null;
  if (answer.error) throw Object.assign(new Error(answer.error), { ended: answer.ended });
  return answer;
}

async function* lines(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split('\n');
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

export function say(text) { $('#status').textContent = text; }

export function complain(error) {
  const place = $('#error');
  place.hidden = !error;
  place.textContent = error ? capital(error.message || String(error)) : '';
}

export const capital = text => text.charAt(0).toUpperCase() + text.slice(1);

/** Run an action of the visitor's; what goes wrong is said. */
export function attempt(action) {
  return async event => {
    event?.preventDefault?.();
    complain(null);
    try { await action(event); } catch (error) { complain(error); }
  };
}

export function hearProgress(what) {
  return (done, total, ahead) => say(ahead ? `${what}: waiting, ${ahead} before you` : total ? `${what}: ${done} of ${total}` : `${what}…`);
}

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
addEventListener('pagehide', event => { if (!event.persisted) navigator.sendBeacon('api/leave', session); });
