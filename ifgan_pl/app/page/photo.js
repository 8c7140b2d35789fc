// A photograph: sent, its faces to choose from or one pointed at, inversion with progress, likeness.
import { $, ask, attempt, capital, element } from './server.js';
import { pointing } from './point.js';

const LARGEST = 32 * 2 ** 20; // bytes, as the server says too
let stop = null, took;

export function setUp(taken) {
  took = taken;
  $('#photo').addEventListener('click', () => $('#file').click());
  $('#file').addEventListener('change', attempt(() => send($('#file').files[0])));
  $('#cancel').addEventListener('click', () => stop?.abort());
  $('#pick').addEventListener('keydown', event => { if (event.key === 'Escape') close(); });
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
  if (!found.faces.length) return point(found.why);
  if (found.faces.length === 1) return invert({ face: 0 });
  choose(
    element('h2', { textContent: `${found.faces.length} faces in ${found.name}: which one?` }),
    element('div', { className: 'faces' }, ...found.faces.map((image, i) => {
      const made = element('button', {}, element('img', { src: image, alt: `face ${i} of the photograph` }), element('span', { textContent: i }));
      made.addEventListener('click', attempt(() => invert({ face: i })));
      return made;
    })),
    element('p', { className: 'row' }, button('Another face…', attempt(() => point('Another face'))), button('None of them', close)));
}

/** Ask where the eyes and the mouth are. */
async function point(why) {
  const picture = await working('reading the photograph', progress => ask('picture', {}, progress));
  if (picture) choose(pointing(`${capital(why)}: show where it is`, picture, points => invert({ points }), close));
}

function choose(...children) {
  $('#pick').replaceChildren(...children);
  $('#pick').hidden = false;
  $('#pick button:not(:disabled), #pick [tabindex="0"]').focus();
}

const close = () => { $('#pick').hidden = true; $('#photo').focus(); };

function button(textContent, action) {
  const made = element('button', { textContent, type: 'button' });
  made.addEventListener('click', action);
  return made;
}

async function invert(which) {
  $('#pick').hidden = true;
  try {
    const answer = await working('inverting the face', progress => ask('invert', which, progress));
    if (answer) await took(answer);
  } catch (error) {
    $('#pick').hidden = !which.points; // to be set right
    throw error;
  }
}

/** Long work with a bar and a way to stop it. */
async function working(what, action) {
  const place = $('#progress'), bar = $('progress', place), text = $('span', place);
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
      },
    });
  } finally {
    place.hidden = true;
    stop = null;
  }
}
