// The tabs, and how the page starts.
import { $, attempt, complain, onNewSession, ask, say, start } from './server.js';
import * as editing from './edit.js';
import * as exploring from './explore.js';
import * as photographs from './photo.js';

const TABS = ['edit', 'explore'];

function open(tab) {
  for (const name of TABS) {
    const here = name === tab, button = $(`#tab-${name}`);
    $(`#${name}`).hidden = !here;
    button.setAttribute('aria-selected', here);
    button.tabIndex = here ? 0 : -1;
  }
  complain(null);
  if (tab === 'explore') return exploring.open();
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
  onNewSession(async () => { const again = await start(); editing.take(again.state); });
  editing.setUpControls();
  photographs.setUp(async told => { editing.take(told.state); await editing.whole(); });
  exploring.setUp(answer, async number => { open('edit'); await editing.choose(number); });
  await editing.setUp(answer);
  document.body.dataset.ready = 'yes';
  if (!answer.ready) await awaitScores(answer);
})();
