// The tabs, and how the page starts.
import { $, attempt, complain, onNewSession, ask, say, start } from './server.js';
import * as editing from './edit.js';
import * as exploring from './explore.js';
import * as teaching from './teach.js';
import * as photographs from './photo.js';

const TABS = ['edit', 'explore', 'teach'];

function open(tab) {
  for (const name of TABS) {
    const here = name === tab, button = $(`#tab-${name}`);
    $(`#${name}`).hidden = !here;
    button.setAttribute('aria-selected', here);
    button.tabIndex = here ? 0 : -1;
  }
  complain(null);
  if (tab === 'explore') return exploring.open();
  if (tab === 'teach') return teaching.open();
}

function setUpTabs() {
  TABS.forEach((name, i) => {
    const button = $(`#tab-${name}`);
    button.addEventListener('click', attempt(() => open(name)));
    button.addEventListener('keydown', event => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const other = $(`#tab-${TABS[(i + step + TABS.length) % TABS.length]}`);
      other.focus();
      other.click();
    });
  });
}

/** Scores and filters come a moment after the first face. */
async function awaitScores(answer) {
  while (!answer.ready) {
    await new Promise(resolve => setTimeout(resolve, 400));
    answer = { ...answer, ...await ask('ready') };
  }
  exploring.setFilters(answer.filters);
  await editing.whole();
}

attempt(async () => {
  setUpTabs();
  say('starting…');
  const answer = await start();
  onNewSession(async () => {
    const number = editing.number();
    const again = await start();
    if (number === null) { // a photograph's inversion went with the server
      editing.take(again.state);
      throw new Error('the server was started anew: send the photograph again');
    }
    await ask('face', { number });
  });
  editing.setUpControls();
  photographs.setUp(async told => { editing.take(told.state); await editing.whole(); });
  teaching.setUp(saved => { exploring.know(saved.models); return editing.setUp(saved); });
  exploring.setUp(answer, async number => { open('edit'); await editing.choose(number); });
  await editing.setUp(answer);
  document.body.dataset.ready = 'yes';
  if (!answer.ready) await awaitScores(answer);
})();
