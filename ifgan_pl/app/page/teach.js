// The Teach tab: yes or no about suggested faces, by click or key, and what has been learnt after each batch.
import { $, ask, attempt, element, hearProgress, say } from './server.js';
import { thumbnails } from './explore.js';

let name = '', cards = [], place = 0, learnt, sent = Promise.resolve();

export function setUp(saved) {
  learnt = saved;
  const field = element('input', { required: true, pattern: '[a-z][a-z0-9_]{0,39}', placeholder: 'beard', autocomplete: 'off', id: 'lesson' });
  field.title = 'small letters, digits and _';
  const form = element('form', { className: 'row' },
    element('label', {}, 'Attribute ', field), element('button', { textContent: 'Teach it', className: 'main' }),
    element('span', { id: 'begun' }));
  form.addEventListener('submit', attempt(() => begin(field.value)));
  $('#teach').replaceChildren(
    element('h2', { textContent: 'Teach an attribute of your own' }),
    element('p', { textContent: 'Say of each face whether it has it: click, or press Y, N, or S where it is unclear; the arrows go to another face. Answers are saved as you give them.' }),
    form, element('div', { id: 'lesson-faces', className: 'grid lesson' }), element('div', { id: 'finding' }));
  addEventListener('keydown', keys);
}

export const open = attempt(async () => {
  const { begun } = await ask('lessons');
  const names = Object.entries(begun);
  $('#begun').replaceChildren(...names.length ? ['or go on with '] : [], ...names.map(([other, count]) => {
    const made = element('button', { type: 'button', textContent: `${other} (${count})` });
    made.addEventListener('click', attempt(() => { $('#lesson').value = other; return begin(other); }));
    return made;
  }));
});

async function begin(wanted) {
  name = wanted;
  $('#finding').replaceChildren();
  await batch(await ask('lesson', { name }, { progress: hearProgress('looking at faces, the first time only') }));
}

async function batch(answer) {
  say('');
  if (!answer) return;
  cards = answer.numbers.map(card);
  $('#lesson-faces').replaceChildren(...cards.map(c => c.root));
  focus(0);
  await thumbnails(answer.numbers, (number, image) => { cards.find(c => c.number === number).image.src = image; });
}

function card(number, i) {
  const image = element('img', { alt: `face ${number}` });
  const make = (text, value, key) => {
    const made = element('button', { textContent: text, title: key });
    made.setAttribute('aria-label', `face ${number}: ${text}`);
    made.setAttribute('aria-pressed', false);
    made.addEventListener('click', attempt(() => { focus(i); return answer(value); }));
    return made;
  };
  const buttons = { yes: make('yes', 1, 'Y'), no: make('no', 0, 'N'), unclear: make('?', null, 'S') };
  const root = element('div', { className: 'card' }, image, element('div', { className: 'answers' }, ...Object.values(buttons)));
  image.addEventListener('click', () => focus(i));
  return { number, image, root, buttons, answered: false };
}

function focus(i) {
  if (!cards.length) return;
  place = Math.max(0, Math.min(cards.length - 1, i));
  cards.forEach((c, k) => c.root.classList.toggle('current', k === place));
  cards[place].root.scrollIntoView({ block: 'nearest' });
}

/** Note an answer about the current face and go on to the next; after the last one, learn. */
async function answer(value) {
  const card = cards[place];
  if (!card) return;
  for (const [word, button] of Object.entries(card.buttons)) {
    button.setAttribute('aria-pressed', { yes: 1, no: 0, unclear: null }[word] === value);
  }
  card.answered = true;
  focus(cards.findIndex((c, i) => i > place && !c.answered) < 0 ? place : cards.findIndex((c, i) => i > place && !c.answered));
  const number = card.number;
  const mine = sent.catch(() => {}).then(() => ask('answer', { name, number, value }));
  sent = mine;
  await mine;
  if (mine === sent && cards.every(c => c.answered)) await learn(); // once the last one has arrived
}

function keys(event) {
  if ($('#teach').hidden || event.target.matches('input') || event.ctrlKey || event.metaKey || event.altKey) return;
  const value = { y: 1, n: 0, s: null }[event.key.toLowerCase()];
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (value !== undefined) attempt(() => answer(value))(event);
  else if (step) { event.preventDefault(); focus(place + step); }
}

async function learn() {
  const found = await ask('learn', { name }, { progress: hearProgress('learning') });
  say('');
  if (!found) return;
  const rows = found.images.map(row => element('div', { className: 'strip three' }, ...row.map((src, i) =>
    element('img', { src, alt: `${name} ${['-2', '0', '+2'][i]} std`, title: ['-2 std', 'as it was', '+2 std'][i] }))));
  const button = (text, action, main) => {
    const made = element('button', { textContent: text, className: main ? 'main' : '' });
    made.addEventListener('click', attempt(action));
    return made;
  };
  const known = 'value' in found.figures;
  const bar = element('div', { className: 'interval' });
  if (known) {
    const at = value => `${Math.max(0, (value - 0.5) * 200)}%`;
    const range = element('i'), middle = element('u');
    range.style.left = at(found.figures.low); range.style.right = `calc(100% - ${at(found.figures.high)})`;
    middle.style.left = at(found.figures.value);
    bar.append(range, middle);
  }
  $('#finding').replaceChildren(
    element('h2', { textContent: known ? `What is known of ${name}` : `Not known yet` }),
    element('p', { textContent: found.text }), ...known ? [bar, element('p', { className: 'legend', textContent: 'AUROC from 0.5, a coin, to 1; the bar is its interval' }), element('p', { textContent: 'Three faces at −2 std, as they were, and at +2 std:' })] : [], ...rows,
    element('p', { className: 'row' }, button('Ask about 24 more', async () => batch(await ask('lesson', { name })), !known),
      ...known ? [button(`Save ${name} to the boundary`, save, true)] : []));
  $('#finding').scrollIntoView({ block: 'nearest' });
}

async function save() {
  const saved = await ask('save', { name });
  const told = element('p', { id: 'saved', textContent: `Saved in ${saved.boundary}; the answers are in ${saved.labels}. Its slider is the last one of Edit.` });
  told.setAttribute('role', 'status');
  $('#saved')?.remove();
  $('#finding').append(told);
  told.scrollIntoView({ block: 'nearest' });
  await learnt(saved);
}
