// Where no face is found the visitor points at one: both eyes, then the mouth; by click, by drag, or by keys.
import { attempt, element } from './server.js';

const WHAT = ['one eye', 'the other eye', 'the mouth'], ZOOMS = [1, 2, 4];

/** What asks for three points in a picture; `done(points)` is given them in pixels of the photograph. */
export function pointing(title, picture, done, cancel) {
  const points = [], markers = [];
  let zoom = 0;
  const image = element('img', { src: picture.image, alt: 'the photograph', draggable: false });
  const field = element('div', { className: 'field', tabIndex: 0 }, image);
  field.setAttribute('role', 'group');
  field.setAttribute('aria-label', 'the photograph: Enter sets the next point in its middle, arrows move a point');
  const hint = element('p', { className: 'hint' });
  hint.setAttribute('role', 'status');
  const button = (textContent, action, className = '') => {
    const made = element('button', { textContent, className, type: 'button' });
    made.addEventListener('click', action);
    return made;
  };
  const go = button('Take this face', attempt(() => done(points)), 'main');
  const again = button('Start again', () => { points.length = 0; write(); field.focus(); });
  const larger = button('Larger', () => { zoom = (zoom + 1) % ZOOMS.length; write(); });

  function write() {
    markers.splice(points.length).forEach(marker => marker.remove());
    points.forEach(([x, y], i) => {
      markers[i] ??= field.appendChild(marker(i));
      markers[i].style.left = `${100 * (x + 0.5) / picture.width}%`;
      markers[i].style.top = `${100 * (y + 0.5) / picture.height}%`;
    });
    field.style.width = `calc(${ZOOMS[zoom]} * min(100cqw, ${picture.width / picture.height} * 100cqh))`;
    larger.textContent = zoom === ZOOMS.length - 1 ? 'Smaller' : 'Larger';
    hint.textContent = points.length < 3 ? `Click ${WHAT[points.length]}.` : 'Drag a point, or move it with the arrow keys, where it is not right.';
    go.disabled = points.length < 3;
    again.disabled = !points.length;
  }

  const inside = (value, size) => +Math.max(0, Math.min(size - 1, value)).toFixed(1);
  function put(i, x, y) {
    points[i] = [inside(x, picture.width), inside(y, picture.height)];
    write();
  }

  function at(event) {
    const box = image.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * picture.width - 0.5, (event.clientY - box.top) / box.height * picture.height - 0.5];
  }

  function marker(i) {
    const made = element('button', { type: 'button', className: `marker${i === 2 ? ' mouth' : ''}` });
    made.setAttribute('aria-label', `${WHAT[i]}: the arrow keys move it, with Shift far`);
    made.addEventListener('pointerdown', event => made.setPointerCapture(event.pointerId));
    made.addEventListener('pointermove', event => { if (made.hasPointerCapture(event.pointerId)) put(i, ...at(event)); });
    made.addEventListener('click', event => event.stopPropagation());
    made.addEventListener('keydown', event => {
      const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [];
      if (x === undefined) return;
      event.preventDefault();
      const far = Math.max(picture.width, picture.height) / (event.shiftKey ? 20 : 400);
      put(i, points[i][0] + x * far, points[i][1] + y * far);
    });
    return made;
  }

  field.addEventListener('click', event => { if (points.length < 3) put(points.length, ...at(event)); });
  field.addEventListener('keydown', event => {
    if (event.key !== 'Enter' || event.target !== field || points.length > 2) return;
    event.preventDefault();
    put(points.length, picture.width / 2, picture.height / 2);
    markers.at(-1).focus();
  });
  write();
  return element('div', { className: 'pointing' },
    element('h2', { textContent: title }), hint, element('div', { className: 'frame' }, field),
    element('p', { className: 'row' }, go, again, larger, button('Cancel', cancel)));
}
