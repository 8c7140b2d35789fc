// The Edit tab: sliders whose preview follows, the whole image once they are let go.
import { $, ask, attempt, complain, element, hearProgress, say } from './server.js';

const SETTLE = 120; // milliseconds after the last move before the whole image is asked for
let models, state, rows = {}, moving = null, busy = false, asked = 0, shown = 0, held = false, timer, waits;
const edit = { changes: {}, hold: new Set() };

export function setUp(answer) {
  models = answer.models;
  rows = {};
  $('#metric').replaceChildren(...models.metrics.map(m => new Option(m === 'stored' ? 'as fitted' : m, m)));
  $('#unit').replaceChildren(...models.units.map(u => new Option(u === 'std' ? 'std of the score' : 'latent', u)));
  $('#sweep').replaceChildren(...models.attributes.map(a => new Option(a.title, a.name)));
  $('#truncation').disabled = !models.can_truncate;
  $('#layers').disabled = models.rows < 2;
  $('#sliders').replaceChildren(...models.attributes.map(slider));
  take(answer.state);
  return whole();
}

function slider(attribute) {
  const id = `slider-${attribute.name}`;
  const input = element('input', { type: 'range', id, step: '0.05' });
  const text = element('output'), seen = element('span', { className: 'seen-text' });
  const hold = element('input', { type: 'checkbox' });
  hold.setAttribute('aria-label', `hold ${attribute.title}`);
  text.htmlFor = id;
  const bar = element('div', { className: 'bar' }, element('i', { hidden: true }), element('u', { hidden: true }));
  const row = element('div', { className: 'attribute' },
    element('label', { htmlFor: id }, element('b', { textContent: attribute.title }), seen), text,
    element('label', { className: 'hold' }, hold, ' hold'),
    element('div', { className: 'slide' }, element('span', { textContent: attribute.low }), input, element('span', { textContent: attribute.high }), bar));
  rows[attribute.name] = { row, input, text, hold, bar, seen, attribute };
  input.addEventListener('input', event => {
    const value = snap(+input.value, +input.step);
    edit.changes[attribute.name] = value;
    $('#sweep').value = attribute.name;
    write();
    preview(event.timeStamp);
    if (!held) settle();
  });
  input.addEventListener('pointerdown', () => { held = true; });
  for (const end of ['pointerup', 'pointercancel']) input.addEventListener(end, () => { held = false; });
  input.addEventListener('change', () => { held = false; settle(); });
  input.addEventListener('dblclick', () => { edit.changes[attribute.name] = 0; write(); preview(performance.now()); settle(); });
  hold.addEventListener('change', () => {
    edit.hold[hold.checked ? 'add' : 'delete'](attribute.name);
    write();
    settle();
  });
  return row;
}

const snap = (value, step) => Math.round(value / step) * step < step / 2 && Math.abs(value) < step / 2 ? 0 : +value.toFixed(4);

/** The sample that is edited; null: a photograph. */
export const number = () => (state.photo ? null : state.number);

/** Take what the server says of the session. */
export function take(told) {
  state = told;
  edit.changes = { ...state.changes };
  edit.hold = new Set(state.hold);
  $('#number').value = state.photo ? '' : state.number;
  $('#number').required = !state.photo;
  $('#source').textContent = state.photo ? `${state.photo}: ${state.likeness}` : '';
  $('#metric').value = state.metric;
  $('#unit').value = state.unit;
  $('#layers').value = state.layers;
  $('#truncation').value = state.truncation;
  $('#truncation').disabled = !models.can_truncate || !!state.photo;
  $('#undo').disabled = !state.can_undo;
  write();
}

function write() {
  const std = $('#unit').value === 'std';
  for (const { row, input, text, hold, attribute } of Object.values(rows)) {
    const reach = std ? models.reach : attribute.latent, value = edit.changes[attribute.name] || 0;
    input.max = reach; input.min = -reach; input.step = std ? 0.05 : +(reach / 60).toPrecision(2);
    input.value = value;
    const at = 50 + 50 * Math.max(-1, Math.min(1, value / reach));
    input.style.setProperty('--from', `${Math.min(50, at)}%`);
    input.style.setProperty('--to', `${Math.max(50, at)}%`);
    const words = `${value > 0 ? '+' : ''}${+value.toFixed(2)}${std ? ' std' : ''}`;
    text.value = words;
    input.setAttribute('aria-valuetext', `${words}, from ${attribute.low} to ${attribute.high}`);
    hold.checked = edit.hold.has(attribute.name);
    hold.parentElement.title = value ? 'moved by its slider, so not held' : 'must not move while others do';
    row.classList.toggle('moved', !!value);
  }
  $('#hold-all').checked = models.attributes.every(a => !a.core || edit.hold.has(a.name));
  $('#reset').disabled = !Object.values(edit.changes).some(Boolean);
}

const request = more => ({
  changes: edit.changes, hold: [...edit.hold], unit: $('#unit').value, metric: $('#metric').value,
  layers: $('#layers').value, truncation: +$('#truncation').value, ...more,
});

// -- what follows a move

/** Show a preview of the newest move; one request is under way at a time, moves in between are left out. */
function preview(at) {
  moving = at;
  if (!busy) pump();
}

async function pump() {
  busy = true;
  while (moving !== null) {
    const at = moving, number = ++asked;
    moving = null;
    try { await show(await answerOf(request({}), number), number, at); } catch (error) { complain(error); }
  }
  busy = false;
}

/** Once nothing has moved for a moment, keep the edit and show the whole image: after the last preview, which would
    else take its place at the server. */
function settle(since = performance.now(), pause = SETTLE) {
  clearTimeout(timer);
  timer = setTimeout(attempt(async () => {
    if (busy) return settle(since, 20);
    const number = ++asked;
    const answer = await answerOf(request({ keep: true, full: true }), number);
    $('#undo').disabled = false;
    await show(answer, number, since);
    await commands();
  }), pause);
}

async function answerOf(body, number) {
  clearTimeout(waits);
  waits = setTimeout(() => say('waiting for the worker…'), 700);
  try {
    return await ask('edit', body);
  } finally {
    if (number === asked) { clearTimeout(waits); say(''); }
  }
}

/** Put an answer on the screen, unless a newer one is there. */
async function show(answer, number, at) {
  if (!answer || number < shown) return;
  shown = number;
  const image = $('#after');
  image.src = answer.image;
  await image.decode().catch(() => {});
  bars(answer);
  const size = answer.size;
  requestAnimationFrame(() => {
    image.dispatchEvent(new CustomEvent('shown', { bubbles: true, detail: { asked: at, at: performance.now(), size } }));
  });
}

function bars(answer) {
  const place = z => 50 + 50 * Math.max(-1, Math.min(1, z / models.reach));
  for (const [name, { bar, seen }] of Object.entries(rows)) {
    const [fill, tick] = bar.children, score = answer.scores[name], said = answer.predicted[name];
    fill.hidden = score === undefined;
    tick.hidden = said === undefined;
    bar.classList.toggle('unknown', fill.hidden && tick.hidden);
    if (score !== undefined) {
      fill.style.left = `${Math.min(50, place(score))}%`;
      fill.style.right = `${100 - Math.max(50, place(score))}%`;
    }
    if (said !== undefined) tick.style.left = `${place(said)}%`;
    seen.textContent = answer.values[name] || '';
    bar.title = [score === undefined ? '' : `seen ${score.toFixed(2)} std`, said === undefined ? '' : `predicted ${said.toFixed(2)} std`].filter(Boolean).join(', ');
  }
}

/** The whole image of the edit as it is, and of the face without it. */
export async function whole() {
  clearTimeout(timer);
  const number = ++asked;
  say('computing…');
  const answer = await ask('show');
  say('');
  await show(answer, number, performance.now());
  await commands();
  await before();
}

let wiped = '';
async function before() {
  const wanted = JSON.stringify([state.number, state.photo, $('#truncation').value]);
  if ($('#before').hidden || wiped === wanted) return;
  $('#before').removeAttribute('src');
  const answer = await ask('original');
  if (answer) { $('#before').src = answer.image; wiped = wanted; }
}

function wipe(percent) {
  $('#wipe').value = percent;
  $('#view').style.setProperty('--wipe', `${percent}%`);
  $('#before').hidden = percent === 0;
  $('#seam').hidden = percent === 0 || percent === 100;
  $('#toggle').setAttribute('aria-pressed', percent === 100);
  return before();
}

// -- files

const KINDS = { image: 'Image', strip: 'Strip', animation: 'Animation', photo: 'Photograph' };

async function commands() {
  if (!$('#files').open) return;
  const { commands } = await ask('commands', { attribute: $('#sweep').value });
  const kinds = Object.keys(KINDS).filter(kind => kind !== 'photo' || state.photo);
  $('#downloads').replaceChildren(...kinds.map(kind => {
    const text = commands[kind] || '';
    const save = element('button', { textContent: KINDS[kind], disabled: !text, title: text ? '' : 'move a slider first' });
    const copy = element('button', { textContent: 'Copy', disabled: !text });
    copy.setAttribute('aria-label', `copy the command of: ${KINDS[kind]}`);
    save.addEventListener('click', attempt(() => download(kind)));
    copy.addEventListener('click', attempt(async () => { await navigator.clipboard.writeText(text); say('copied'); }));
    return element('div', { className: 'file' }, save, element('code', { textContent: text || '—', tabIndex: 0 }), copy);
  }));
}

async function download(kind) {
  const made = await ask('download', { kind, attribute: $('#sweep').value }, { progress: hearProgress('making the file') });
  say('');
  if (!made) return;
  const bytes = Uint8Array.from(atob(made.data), c => c.charCodeAt(0));
  const link = element('a', { href: URL.createObjectURL(new Blob([bytes])), download: made.name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  say(`saved ${made.name}`);
}

// -- faces and the way back

async function change(name, body) {
  const answer = await ask(name, body);
  take(answer.state);
  await whole();
}

/** Edit a sample. */
export const choose = number => change('face', { number });

export function setUpControls() {
  $('#choose').addEventListener('submit', attempt(() => choose(+$('#number').value)));
  $('#random').addEventListener('click', attempt(() => change('face', {})));
  $('#undo').addEventListener('click', attempt(() => change('undo')));
  $('#reset').addEventListener('click', attempt(() => change('reset')));
  $('#hold-all').addEventListener('change', event => {
    edit.hold = new Set(event.target.checked ? models.attributes.filter(a => a.core).map(a => a.name) : []);
    write();
    settle();
  });
  $('#unit').addEventListener('change', () => {
    const std = $('#unit').value === 'std';
    for (const { name, latent } of models.attributes) {
      const factor = latent / models.reach;
      edit.changes[name] = +((edit.changes[name] || 0) * (std ? 1 / factor : factor)).toFixed(4);
    }
    write();
    settle();
  });
  for (const id of ['#metric', '#layers', '#truncation']) $(id).addEventListener('change', () => { wiped = ''; settle(); });
  $('#wipe').addEventListener('input', () => wipe(+$('#wipe').value));
  $('#toggle').addEventListener('click', attempt(() => wipe($('#toggle').getAttribute('aria-pressed') === 'true' ? 0 : 100)));
  $('#files').addEventListener('toggle', attempt(commands));
  $('#sweep').addEventListener('change', attempt(commands));
  addEventListener('keydown', event => {
    if ($('#edit').hidden || event.target.matches('input:not([type=range], [type=checkbox]), select, textarea') || event.altKey) return;
    if (event.key === 'o') $('#toggle').click();
    if (event.key === 'z' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); $('#undo').click(); }
  });
}
