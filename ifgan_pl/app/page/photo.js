// A photograph: sent, its faces to choose from, inversion with progress, likeness.
import { $, ask, attempt, element, hearProgress, say } from './server.js';

const LARGEST = 32 * 2 ** 20; // bytes, as the server says too
let stop = null, took;

export function setUp(taken) {
  took = taken;
  $('#photo').addEventListener('click', () => $('#file').click());
  $('#file').addEventListener('change', attempt(() => send($('#file').files[0])));
  $('#cancel').addEventListener('click', () => stop?.abort());
  const view = $('#view');
  view.addEventListener('dragover', event => event.preventDefault());
  view.addEventListener('drop', attempt(event => send(event.dataTransfer.files[0])));
}

async function send(file) {
  $('#file').value = '';
  if (!file) return;
  if (file.size > LARGEST) throw new Error(`${file.name} has ${Math.round(file.size / 2 ** 20)} MB, more than 32: make it smaller first`);
  const headers = { 'x-name': encodeURIComponent(file.name) };
  const found = await working('looking for faces', progress => ask('upload', file, { raw: true, headers, ...progress }));
  if (!found) return;
  if (found.faces.length === 1) return invert(0);
  $('#pick').replaceChildren(
    element('h2', { textContent: `${found.faces.length} faces in ${found.name}: which one?` }),
    element('div', { className: 'faces' }, ...found.faces.map((image, i) => {
      const made = element('button', {}, element('img', { src: image, alt: `face ${i} of the photograph` }), element('span', { textContent: i }));
      made.addEventListener('click', attempt(() => invert(i)));
      return made;
    })),
    element('p', { className: 'row' }, cancelButton()));
  $('#pick').hidden = false;
  $('#pick button').focus();
}

function cancelButton() {
  const made = element('button', { textContent: 'None of them' });
  made.addEventListener('click', () => { $('#pick').hidden = true; });
  return made;
}

async function invert(face) {
  $('#pick').hidden = true;
  const answer = await working('inverting the face', progress => ask('invert', { face }, progress));
  if (answer) await took(answer);
}

/** Long work with a bar and a way to stop it. */
async function working(what, action) {
  const place = $('#progress'), bar = $('progress', place), text = $('span', place), hear = hearProgress(what);
  stop = new AbortController();
  place.hidden = false;
  bar.removeAttribute('value');
  text.textContent = `${what}…`;
  try {
    return await action({
      signal: stop.signal,
      progress: (done, total, ahead) => {
        if (total) { bar.max = total; bar.value = done; }
        text.textContent = ahead ? `${what}: waiting, ${ahead} before you` : total > 1 ? `${what}: ${done} of ${total}` : `${what}…`;
        hear(done, total, ahead);
      },
    });
  } finally {
    place.hidden = true;
    stop = null;
    say('');
  }
}
