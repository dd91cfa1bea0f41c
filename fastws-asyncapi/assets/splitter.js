// A bar between two parts that a pointer or the arrow keys move.

import { element } from './element.js';

/**
 * A bar that resizes the part after it. `isUpright` bars stand between left and right; `size` gives the part's size in
 * pixels, `resize` sets it, and `limits` gives the least and the most.
 */
export function splitter(label, { isUpright, size, resize, limits }) {
  const bar = element('div', {
    class: isUpright ? 'splitter upright' : 'splitter',
    role: 'separator',
    tabindex: '0',
    'aria-label': label,
    'aria-orientation': isUpright ? 'vertical' : 'horizontal',
    'aria-valuenow': '50',
  });
  const set = (wanted) => {
    const [least, most] = limits();
    const pixels = Math.round(Math.min(most, Math.max(least, wanted)));
    resize(pixels);
    bar.setAttribute('aria-valuenow', String(Math.round((100 * (pixels - least)) / Math.max(1, most - least))));
  };
  const place = (event) => (isUpright ? event.clientX : event.clientY);
  bar.addEventListener('pointerdown', (down) => {
    if (down.button !== 0) return;
    down.preventDefault();
    bar.setPointerCapture(down.pointerId);
    const whole = size() + place(down);
    const move = (event) => set(whole - place(event));
    bar.addEventListener('pointermove', move);
    bar.addEventListener('lostpointercapture', () => bar.removeEventListener('pointermove', move), { once: true });
  });
  bar.addEventListener('keydown', ({ key }) => {
    const step = { [isUpright ? 'ArrowLeft' : 'ArrowUp']: STEP, [isUpright ? 'ArrowRight' : 'ArrowDown']: -STEP }[key];
    if (step) set(size() + step);
  });
  return bar;
}

const STEP = 24;
