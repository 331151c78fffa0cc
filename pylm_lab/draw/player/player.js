// The player: one cursor over a recorded run. The record is never changed and nothing is run
// again; what is shown is looked up by the number of the step. Texts reach the page as text only.
"use strict";
(() => {
  const el = (id) => document.getElementById(id);
  const record = JSON.parse(el("record").textContent);
  const { steps, actors, texts, numbers } = record;
  const total = steps.kind.length;
  const ROW = 30;
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  const SPEEDS = [0.25, 0.5, 1, 2, 4];

  let chosen = []; // the steps that are told, by their number
  let at = 0; // the cursor: a position in `chosen`
  let frame = 0; // of the token that travels
  let turn = 0; // which press of play is in charge

  // ------------------------------------------------------------------------------ looking up

  const sentence = (n) => texts[steps.sentence[n]].replaceAll("\0", numbers[steps.number[n]]);
  const count = (n) => n.toLocaleString("en");
  const name = (actor) => actors[actor].name;
  const called = (actor) => (actor < 0 ? "somebody" : actors[actor].called ?? name(actor));

  // When it began: an operation of a controlled run, or time since the first event.
  function when(n) {
    const at = steps.at[n];
    return record.clock === "step" ? `operation ${count(at)}` : `after ${(at / 1e6).toFixed(3)} ms`;
  }

  // How many entries of a sorted list are not beyond n.
  function upTo(list, n) {
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle] <= n) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function now([, since, values], n) {
    const k = upTo(since, n);
    return k ? values[k - 1] : null;
  }

  // ------------------------------------------------------------------------------ the diagram

  function svg(tag, attributes, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }

  // A number on a disc, which grows to a lozenge where it must.
  const widthOf = (text, height) => height * Math.max(1, text.length * 0.36 + 0.38);

  function disc(x, y, height, text, look) {
    const size = height * (text.length < 2 ? 0.58 : 0.54);
    const width = widthOf(text, height);
    const body = svg("g", { class: "body" });
    body.append(
      svg("rect", { x: -width / 2, y: -height / 2, width, height, rx: height / 2, class: look }),
      svg("text", { y: size * 0.36, "font-size": size }, text),
    );
    const group = svg("g", { transform: `translate(${x} ${y})` });
    group.append(body);
    return group;
  }

  const way = (n) => (steps.way[n] < 0 ? null : record.ways[steps.way[n]]);

  function lengthOf(points) {
    let length = 0;
    for (let i = 2; i < points.length; i += 2) {
      length += Math.hypot(points[i] - points[i - 2], points[i + 1] - points[i - 1]);
    }
    return length;
  }

  function pointAt(points, distance) {
    let rest = distance;
    for (let i = 2; i < points.length; i += 2) {
      const [x, y] = [points[i - 2], points[i - 1]];
      const piece = Math.hypot(points[i] - x, points[i + 1] - y);
      if (rest <= piece) {
        const t = piece ? rest / piece : 0;
        return [x + (points[i] - x) * t, y + (points[i + 1] - y) * t];
      }
      rest -= piece;
    }
    return points.slice(-2);
  }

  function paintStatus(n) {
    for (const change of record.changes.status) {
      const actor = actors[change[0]];
      const node = actor.status && el(actor.status);
      if (!node) continue;
      node.textContent = texts[now(change, n)] ?? "";
      if (actor.middle) node.setAttribute("x", actor.middle);
      const bars = el(actor.blocks);
      if (bars) bars.style.visibility = "hidden";
    }
  }

  function paintCounts(n) {
    for (const [id, grows] of record.counts) {
      const node = el(id);
      const text = node.querySelector("text") ?? node;
      text.textContent = count(upTo(grows, n));
    }
    for (const [id, grows] of record.losses) {
      const lost = upTo(grows, n);
      el(id).style.visibility = lost ? "visible" : "hidden";
      el(id).querySelector("text").textContent = `${count(lost)} lost`;
    }
  }

  function paintRow(n) {
    for (const node of document.querySelectorAll(".decides")) node.classList.remove("decides");
    if (steps.fault[n]) return; // no row has decided that
    for (const id of record.rows[steps.row[n]]?.slice(1) ?? []) el(id).classList.add("decides");
  }

  function paintRest(n) {
    const piles = new Map();
    for (const look of ["held", "waiting"]) {
      for (const change of record.changes[look]) {
        const pile = now(change, n);
        const place = actors[change[0]].rest;
        if (!place || !pile || !pile[0]) continue;
        const here = piles.get(String(place)) ?? { place, shown: [], more: 0 };
        piles.set(String(place), here);
        for (const number of pile.slice(1)) here.shown.push([numbers[number], look]);
        here.more += pile[0] - (pile.length - 1);
      }
    }
    const nodes = [];
    for (const { place: [x, y, dx, dy], shown, more } of piles.values()) {
      // Three by name, or two if they are long; the others are counted.
      const named = shown.slice(0, shown.some(([text]) => text.length > 2) ? 2 : 3);
      const rest = more + shown.length - named.length;
      let at = 0;
      for (const [text, look] of rest ? [...named, [`+${rest}`, "waiting"]] : named) {
        const wider = dx ? (widthOf(text, 15) - 15) / 16 : 0;
        at += wider / 2;
        nodes.push(disc(x + dx * at, y + dy * at, 15, text, look === "held" ? "" : "waits"));
        at += 1 + wider / 2;
      }
    }
    // What a fault holds back stays on its way.
    for (const [late, number, since, until] of record.delayed) {
      if (n < since || n >= until) continue;
      const points = record.ways[late];
      const [x, y] = pointAt(points, lengthOf(points) * record.stops[late]);
      nodes.push(disc(x, y, 15, numbers[number], "waits"));
    }
    el("rest").replaceChildren(...nodes);
  }

  // The run glows, the way that the message came faintly; the wires stay on top of both.
  function paintGlow(n) {
    const lines = [];
    const wires = new Set();
    const shine = (step, look) => {
      if (!way(step)) return;
      lines.unshift(svg("polyline", { points: way(step).join(" "), class: look }));
      for (const id of record.wires[steps.way[step]]) wires.add(id);
    };
    shine(n, "run");
    for (let m = steps.previous[n], k = 0; m >= 0 && k < 40; m = steps.previous[m], k += 1) {
      shine(m, "way");
    }
    const copies = [...wires].map((id) => {
      const copy = el(id).cloneNode(true);
      copy.removeAttribute("id");
      copy.querySelectorAll(".casing").forEach((node) => node.remove());
      return copy;
    });
    el("glow").replaceChildren(...lines, ...copies);
  }

  function paintToken(n, part) {
    const points = way(n);
    if (!points) {
      el("token").replaceChildren();
      return;
    }
    // It stops short of the edge, where the socket's mark is; what does not arrive, mid-way.
    const fate = steps.fate[n];
    const length = lengthOf(points);
    const mid = length * record.stops[steps.way[n]];
    const stop = fate ? mid : Math.max(length * 0.6, length - 18);
    const [x, y] = pointAt(points, stop * part);
    const text = numbers[steps.number[n]];
    const minor = steps.minor[n] !== 0;
    const token = disc(x, y, text ? 20 : 12, text, minor ? "token minor" : "token");
    if (fate === 2 && part === 1) {
      token.append(svg("path", { class: "cross", d: "M-11 -11L11 11M11 -11L-11 11" }));
    }
    el("token").replaceChildren(token);
    follow(x);
  }

  // Where only a part of the diagram is on screen, keep the message in it.
  function follow(x) {
    const stage = el("stage");
    if (!stage.classList.contains("zoomed")) return;
    const scale = stage.scrollWidth / stage.querySelector("svg.scene").viewBox.baseVal.width;
    stage.scrollLeft = x * scale - stage.clientWidth / 2;
  }

  // ------------------------------------------------------------------------------ the list

  function paintList() {
    const list = el("list");
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    const last = Math.min(chosen.length, first + Math.ceil(list.clientHeight / ROW) + 8);
    const rows = [];
    for (let k = first; k < last; k += 1) {
      const n = chosen[k];
      const row = document.createElement("div");
      row.id = `row-${k}`;
      row.className = "row";
      row.classList.toggle("now", k === at);
      row.classList.toggle("minor", steps.minor[n] !== 0);
      row.classList.toggle("lost", steps.fate[n] === 2 || steps.fault[n] !== 0);
      row.style.top = `${k * ROW}px`;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", String(k === at));
      row.setAttribute("aria-posinset", String(k + 1));
      row.setAttribute("aria-setsize", String(chosen.length));
      row.dataset.at = String(k);
      const add = (look, text) => {
        const cell = document.createElement("span");
        cell.className = look;
        cell.textContent = text;
        row.append(cell);
      };
      add("nth", String(k + 1));
      if (steps.number[n]) add("chip", numbers[steps.number[n]]);
      add("what", texts[steps.title[n]].replace(/^\0: /, ""));
      if (steps.fault[n]) add("by", "fault");
      else if (steps.row[n] >= 0) add("by", `row ${record.rows[steps.row[n]][0]}`);
      else if (steps.kind[n]) add("by", record.kinds[steps.kind[n]]);
      rows.push(row);
    }
    el("rows").style.height = `${chosen.length * ROW}px`;
    el("rows").replaceChildren(...rows);
  }

  function scrollToCursor() {
    const list = el("list");
    const top = at * ROW;
    if (top < list.scrollTop + ROW) list.scrollTop = top - ROW;
    else if (top > list.scrollTop + list.clientHeight - 2 * ROW) {
      list.scrollTop = top - list.clientHeight + 2 * ROW;
    }
  }

  // ------------------------------------------------------------------------------ the inspector

  function table(caption, rows) {
    const made = document.createElement("table");
    made.createCaption().textContent = caption;
    for (const { head, size, code, was, changed, plain } of rows) {
      const row = made.insertRow();
      row.classList.toggle("new", Boolean(changed));
      const title = document.createElement("th");
      title.scope = "row";
      title.textContent = head;
      row.append(title);
      if (size !== undefined) {
        const cell = row.insertCell();
        cell.className = "size";
        cell.textContent = `${count(size)} B`;
      }
      const cell = row.insertCell();
      const put = (parent, text) => {
        const node = document.createElement("code");
        node.textContent = text;
        parent.append(node);
      };
      if (plain !== undefined) cell.textContent = plain;
      if (code !== undefined) put(cell, code);
      if (was !== undefined) {
        const before = document.createElement("span");
        before.className = "was";
        before.append("was ");
        put(before, was);
        cell.append(before);
      }
    }
    return made;
  }

  function framesOf(n, end) {
    const flat = record.framings[steps[end][n]];
    if (!flat) return null;
    const rows = [];
    for (let i = 1; i < flat.length; i += 3) {
      rows.push({ head: texts[flat[i]], size: flat[i + 1], code: texts[flat[i + 2]] });
    }
    return { socket: texts[flat[0]], rows };
  }

  function paintInspector(n) {
    const tables = [];
    const sent = framesOf(n, "sent");
    const taken = framesOf(n, "taken");
    const [from, to] = [called(steps.source[n]), called(steps.target[n])];
    const same = sent && taken && JSON.stringify(sent.rows) === JSON.stringify(taken.rows);
    if (same) {
      tables.push(table(`frames: ${from} (${sent.socket}) → ${to} (${taken.socket})`, sent.rows));
    } else {
      if (sent) tables.push(table(`frames that ${from} sends (${sent.socket})`, sent.rows));
      if (taken) tables.push(table(`frames that ${to} takes (${taken.socket})`, taken.rows));
      if (!taken && sent) tables.push(table(`nobody has taken it`, []));
    }
    if ((sent || taken) && ["message", "request"].includes(record.kinds[steps.kind[n]])) {
      const before = steps.previous[n];
      const field = (head, read) => {
        const was = before >= 0 ? read(before) : read(n);
        const changed = was !== read(n);
        return { head, code: read(n), changed, was: changed ? was || "nothing" : undefined };
      };
      tables.push(
        table("fields of the message", [
          field("function", (m) => texts[steps.function[m]]),
          field("stage", (m) => String(steps.stage[m])),
          field("payload", (m) => texts[steps.payload[m]]),
        ]),
        table("its stamp, only while somebody records", [
          field("id", (m) => texts[steps.id[m]]),
          field("parent", (m) => numbers[steps.parent[m]] || "none"),
          field("clock", (m) => String(steps.clock[m])),
        ]),
      );
    }
    const doing = [];
    for (const change of record.changes.status) {
      doing.push({ head: name(change[0]), plain: texts[now(change, n)] ?? "" });
    }
    tables.push(table("what everybody does", doing));
    el("inspector").replaceChildren(...tables);
  }

  // ------------------------------------------------------------------------------ the cursor

  // Show the step under the cursor; its message has arrived, unless it is told to travel.
  function show(travels = false) {
    cancelAnimationFrame(frame);
    const n = chosen[at];
    const empty = n === undefined;
    for (const [id, off] of [
      ["first", at === 0], ["back", at === 0], ["step", at >= chosen.length - 1],
      ["last", at >= chosen.length - 1], ["play", empty], ["scrub", empty],
    ]) el(id).disabled = off || empty;
    el("scrub").max = String(Math.max(0, chosen.length - 1));
    el("scrub").value = String(at);
    const where = empty ? "no step" : `step ${count(at + 1)} of ${count(chosen.length)}`;
    el("scrub").setAttribute("aria-valuetext", where);
    el("where").textContent = where;
    el("when").textContent = empty ? "" : ` · ${when(n)}`;
    if (empty) {
      el("sentence").textContent = "Nothing of this kind happens in this record.";
      paintList();
      return Promise.resolve();
    }
    el("sentence").textContent = sentence(n);
    paintStatus(n);
    paintRow(n);
    paintRest(n);
    paintGlow(n);
    scrollToCursor();
    paintList();
    paintInspector(n);
    el("list").setAttribute("aria-activedescendant", `row-${at}`);
    if (!travels || calm.matches || !way(n)) {
      paintToken(n, 1);
      paintCounts(n + 1);
      return Promise.resolve();
    }
    paintCounts(n);
    return new Promise((arrived) => {
      const time = (320 + lengthOf(way(n)) * 0.55) / SPEEDS[el("speed").value];
      const begin = performance.now();
      const move = (moment) => {
        const part = Math.min(1, Math.max(0, (moment - begin) / time));
        paintToken(n, part < 1 ? part * part * (3 - 2 * part) : 1);
        if (part < 1) frame = requestAnimationFrame(move);
        else {
          paintCounts(n + 1);
          arrived();
        }
      };
      frame = requestAnimationFrame(move);
    });
  }

  function go(to, travels = false) {
    at = Math.max(0, Math.min(chosen.length - 1, to));
    return show(travels);
  }

  const playing = () => el("play").classList.contains("playing");

  function pause() {
    turn += 1;
    el("play").classList.remove("playing");
    el("play").setAttribute("aria-label", "Play");
    el("sentence").setAttribute("aria-live", "polite");
  }

  async function play() {
    el("play").classList.add("playing");
    el("play").setAttribute("aria-label", "Pause");
    el("sentence").setAttribute("aria-live", "off"); // nobody can listen that fast
    const mine = (turn += 1);
    if (at >= chosen.length - 1) at = -1;
    while (mine === turn && at < chosen.length - 1) {
      await go(at + 1, true);
      const rest = (calm.matches ? 900 : 300) / SPEEDS[el("speed").value];
      await new Promise((done) => { setTimeout(done, rest); });
    }
    if (mine === turn) pause();
  }

  // Which steps are told; the cursor stays with the step that it is on, or goes to the next one.
  function choose() {
    const current = chosen[at] ?? 0;
    const all = el("all").checked;
    const only = el("only").value;
    chosen = [];
    for (let n = 0; n < total; n += 1) {
      if (only !== "" ? String(steps.number[n]) === only : all || !steps.minor[n]) {
        chosen.push(n);
      }
    }
    at = Math.max(0, Math.min(chosen.length - 1, upTo(chosen, current - 1)));
    el("list").scrollTop = 0;
    show();
  }

  // ------------------------------------------------------------------------------ what is pressed

  const by = {
    first: () => { pause(); go(0); },
    back: () => { pause(); go(at - 1); },
    step: () => { pause(); go(at + 1, true); },
    last: () => { pause(); go(chosen.length - 1); },
    play: () => { if (playing()) pause(); else play(); },
    slower: () => { el("speed").value = String(Math.max(0, Number(el("speed").value) - 1)); },
    faster: () => {
      el("speed").value = String(Math.min(SPEEDS.length - 1, Number(el("speed").value) + 1));
    },
    help: () => {
      const help = el("help");
      help.hidden = !help.hidden;
      el("more").setAttribute("aria-expanded", String(!help.hidden));
    },
    zoom: () => {
      const zoomed = el("stage").classList.toggle("zoomed");
      el("zoom").setAttribute("aria-pressed", String(zoomed));
      show();
    },
  };
  const KEYS = {
    ArrowLeft: "back", ArrowRight: "step", Home: "first", End: "last", " ": "play",
    "+": "faster", "=": "faster", "-": "slower", "?": "help",
  };

  function listen() {
    for (const id of ["first", "back", "play", "step", "last", "zoom"]) {
      el(id).addEventListener("click", by[id]);
    }
    el("more").addEventListener("click", by.help);
    el("scrub").addEventListener("input", () => { pause(); go(Number(el("scrub").value)); });
    el("all").addEventListener("change", choose);
    el("only").addEventListener("change", choose);
    el("list").addEventListener("scroll", paintList, { passive: true });
    el("list").addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) { pause(); go(Number(row.dataset.at)); }
    });
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const owner = event.target.closest("select, button, input");
      // What a control does with a key itself, it keeps.
      if (owner && owner.matches("select")) return;
      if (owner && event.key === " " && !owner.matches("#scrub")) return;
      if (owner && owner.matches("#scrub") && !"? +=-".includes(event.key)) return;
      const list = event.target === el("list");
      const action = (list && { ArrowUp: "back", ArrowDown: "step" }[event.key]) || KEYS[event.key];
      if (!action) return;
      event.preventDefault();
      by[action]();
    });
    window.addEventListener("resize", paintList);
  }

  function begin() {
    const scene = document.querySelector("svg.scene");
    if (scene) scene.append(svg("g", { id: "rest" }), svg("g", { id: "token" }));
    const only = el("only");
    const seen = new Set();
    for (let n = 0; n < total; n += 1) {
      const number = steps.number[n];
      if (number && !seen.has(number) && steps.kind[n] === 0) {
        seen.add(number);
        only.add(new Option(`message ${numbers[number]}`, String(number)));
      }
    }
    listen();
    choose();
  }

  begin();
})();
