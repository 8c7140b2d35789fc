// The Explore tab: a grid of faces by what the scorer saw in them, neighbours, and an attribute's strip of any face.
import { $, ask, attempt, capital, element, hearProgress, say } from './server.js';

let models, filters = [], page = 0, picked = null, edit, newest = 0;
const controls = {};

export function setUp(answer, editIt) {
  models = answer.models;
  edit = editIt;
  setFilters(answer.filters);
  $('#more').addEventListener('click', attempt(() => { page += 1; return search(); }));
}

/** The attributes are others from now on. */
export function know(told) { models = told; }

const title = name => models.attributes.find(a => a.name === name)?.title || capital(name);
const ends = name => models.attributes.find(a => a.name === name) || { low: 'no', high: 'yes' };

export function setFilters(told) {
  filters = told;
  $('#filters').replaceChildren(...filters.map(filter => {
    const set = element('fieldset', {}, element('legend', { textContent: title(filter.name) }));
    if (filter.kind === 'binary') {
      const { low, high } = ends(filter.name);
      const choice = element('select', {}, new Option('any', ''), new Option(high, 'yes'), new Option(low, 'no'));
      choice.setAttribute('aria-label', title(filter.name));
      set.append(choice);
      controls[filter.name] = () => choice.value === '' ? undefined : choice.value === 'yes';
    } else {
      const [from, to] = ['from', 'to'].map((word, i) => {
        const made = element('input', { type: 'number', step: 'any', placeholder: i ? filter.high : filter.low });
        made.setAttribute('aria-label', `${title(filter.name)} ${word}`);
        return made;
      });
      set.append(from, '–', to);
      controls[filter.name] = () => from.value === '' && to.value === '' ? undefined
        : [from.value === '' ? -1e9 : +from.value, to.value === '' ? 1e9 : +to.value];
    }
    return set;
  }));
  $('#filters').onchange = attempt(() => { page = 0; return search(); });
  $('#filters').onsubmit = event => event.preventDefault();
}

/** Show the tab; the first time it searches. */
export function open() { if (!$('#grid').children.length) return search(); }

async function search() {
  const wanted = {};
  for (const { name } of filters) {
    const value = controls[name]();
    if (value !== undefined) wanted[name] = value;
  }
  const mine = newest += 1;
  const { count, of, numbers } = await ask('search', { wanted, page });
  if (mine !== newest) return;
  $('#count').textContent = filters.length ? `${count.toLocaleString('en')} of ${of.toLocaleString('en')} faces` : 'random faces';
  $('#more').disabled = count <= numbers.length;
  await fill(numbers);
}

async function fill(numbers) {
  picked = null;
  $('#chosen').hidden = true;
  const cards = new Map(numbers.map(number => [number, card(number)]));
  $('#grid').replaceChildren(...cards.values());
  if (!numbers.length) { $('#grid').textContent = 'No face is all of that.'; return; }
  await thumbnails(numbers, (number, image) => { $('img', cards.get(number)).src = image; });
}

/** Small images of faces, a few at a time; a newer grid, or search, ends an older one. */
export async function thumbnails(numbers, put) {
  const mine = newest += 1;
  for (let i = 0; i < numbers.length; i += 4) {
    const answer = await ask('thumbnails', { numbers: numbers.slice(i, i + 4) }, { progress: hearProgress('faces') });
    if (!answer || mine !== newest) return false;
    for (const [number, image] of Object.entries(answer.images)) put(+number, image);
  }
  say('');
  return true;
}

function card(number) {
  const made = element('button', {}, element('img', { alt: `face ${number}` }), element('span', { textContent: number }));
  made.setAttribute('aria-pressed', false);
  made.addEventListener('click', attempt(() => choose(number, made)));
  made.addEventListener('dblclick', attempt(() => edit(number)));
  return made;
}

function choose(number, made) {
  picked = number;
  for (const other of $('#grid').children) other.setAttribute?.('aria-pressed', other === made);
  const button = (text, action, properties = {}) => {
    const found = element('button', { textContent: text, ...properties });
    found.addEventListener('click', attempt(action));
    return found;
  };
  const place = element('div', { className: 'strip' });
  $('#chosen').replaceChildren(
    element('div', { className: 'row' },
      element('b', { textContent: `Face ${number}` }),
      button('Edit it', () => edit(number), { className: 'main' }),
      button('Its neighbours', () => neighbours(number)),
      'Strip of', ...models.attributes.map(a => button(a.title, () => strip(number, a, place)))),
    place);
  $('#chosen').hidden = false;
}

async function neighbours(number) {
  const answer = await ask('neighbours', { number }, { progress: hearProgress('comparing codes') });
  if (!answer) return;
  $('#count').textContent = `the nearest to face ${number}`;
  $('#more').disabled = true;
  await fill([number, ...answer.numbers.slice(0, 23)]);
}

async function strip(number, attribute, place) {
  const answer = await ask('strip', { number, attribute: attribute.name }, { progress: hearProgress('strip') });
  say('');
  if (!answer || picked !== number) return;
  place.replaceChildren(...answer.images.map((src, i) =>
    element('img', { src, alt: `${attribute.title} ${(i - 3)} std`, title: `${attribute.title} ${i > 3 ? '+' : ''}${i - 3} std` })));
}
