// Draws the charts of a report page from the JSON in it. Text from the run is only ever set as text, never as markup.
//
//   helpers -> the time axis (one range for all) -> traffic (uPlot) -> lanes (SVG) -> offending keys -> messages
"use strict";
(() => {
  const root = document.documentElement;
  const complain = (what) => { root.dataset.errors = `${root.dataset.errors || ""}${what}\n`; };
  window.addEventListener("error", (event) => complain(event.message));

  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const GUTTER = 118, MARGIN = 26;

  // ---- helpers ----------------------------------------------------------------------------------------------------

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "tip") node.tip = value;
      else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
    }
    for (const child of children) if (child !== null && child !== undefined) node.append(child);
    return node;
  }
  const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
  const rect = (x, y, width, height, attributes) => svg("rect", { x, y, width: Math.max(width, 0), height, ...attributes });
  const line = (x1, y1, x2, y2, attributes) => svg("line", { x1, y1, x2, y2, ...attributes });
  const text = (x, y, what, attributes) => svg("text", { x, y, ...attributes }, what);
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const color = (gid) => `var(--g${gid === 0 ? 0 : 1 + (gid - 1) % 8})`;
  const group = (gid) => (gid === 0 ? "controller" : `group ${gid}`);
  const swatch = (background, words, kind) =>
    el("span", { class: "key" }, el("i", { class: kind, style: `background:${background};border-color:${background}` }), words);

  function time(ms, digits = 3) {
    if (ms === null || ms === undefined) return "never";
    return `${(ms / 1000).toFixed(digits)} s`;
  }
  function length(ms) {
    return ms < 1 ? `${Math.round(ms * 1000)} µs` : ms < 1000 ? `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
  }
  const span = (from, to) => `${time(from)} to ${to === null ? "the end" : time(to)}${to === null ? "" : ` (${length(to - from)})`}`;

  // Round steps for an axis of seconds or minutes with at most so many ticks.
  function ticks(from, to, most) {
    const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 3e4, 6e4, 12e4, 3e5, 6e5, 12e5, 18e5, 36e5, 72e5, 216e5, 864e5];
    const step = steps.find((step) => (to - from) / step <= most) || (to - from) / most;
    const found = [];
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push(at);
    return { step, found };
  }
  function tickWords(ms, step) {
    if (step >= 6e4) return `${Math.round(ms / 6e4)} min`;
    return `${(ms / 1000).toFixed(step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3)} s`;
  }

  const tip = el("div", { class: "tip", hidden: "" });
  document.body.append(tip);
  function showTip(event, words) {
    tip.hidden = !words;
    if (!words) return;
    tip.textContent = words;
    const box = tip.getBoundingClientRect();
    const left = event.clientX + 14 + box.width > innerWidth ? event.clientX - 14 - box.width : event.clientX + 14;
    const top = event.clientY + 16 + box.height > innerHeight ? event.clientY - 12 - box.height : event.clientY + 16;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, top)}px`;
  }
  document.addEventListener("pointermove", (event) => showTip(event, event.target.tip));

  const copy = document.getElementById("copy");
  if (copy && navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", () => navigator.clipboard.writeText(document.getElementById("again").textContent));
  }

  // ---- the time axis: one range, shared by everything that is drawn over the run's time ---------------------------

  const whole = { from: 0, to: Math.max(data.span, 1) };
  const range = { ...whole };
  const drawn = [];
  function zoom(from, to) {
    const least = Math.max(whole.to / 1e5, 0.05);
    range.from = Math.max(whole.from, Math.min(from, to - least));
    range.to = Math.min(whole.to, Math.max(to, range.from + least));
    drawn.forEach((part) => part.redraw());
  }
  // Everything shows the same moment under the pointer; null: none.
  const point = (at, except) => drawn.forEach((part) => part !== except && part.point(at));

  const MARKS = [
    { kind: "election", name: "elections", color: "--g4" },
    { kind: "move", name: "moves, joins, leaves", color: "--g3" },
    { kind: "other", name: "other events", color: "--grey" },
  ];
  for (const mark of data.marks) mark.kind = MARKS.findIndex(({ kind }) => kind === mark.kind);
  const markWords = (mark) => [
    `${time(mark.at)}: ${mark.name.replaceAll("_", " ")}`,
    [mark.gid !== undefined && group(mark.gid), mark.node !== undefined && `node ${mark.node}`, mark.shard !== undefined && `shard ${mark.shard}`].filter(Boolean).join(", "),
    mark.detail,
  ].filter(Boolean).join("\n");
  const faultWords = (fault) => [
    `${fault.kind}${fault.nodes.length ? ` of node ${fault.nodes.join(", ")}` : ""}`,
    fault.until === null ? time(fault.at) : span(fault.at, fault.until), fault.detail,
    fault.evidence ? `seen to fire: ${fault.evidence}` : "nothing showed that it fired",
  ].filter(Boolean).join("\n");

  // ---- throughput and latency (uPlot) -----------------------------------------------------------------------------

  function bands(plot) {
    const { ctx, bbox } = plot;
    const x = (ms) => plot.valToPos(ms, "x", true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const fault of data.faults) {
      const from = x(fault.at), to = fault.until === null ? from + 2 : x(fault.until);
      ctx.globalAlpha = 0.13;
      ctx.fillStyle = css(`--${fault.effect}`);
      ctx.fillRect(from, bbox.top, Math.max(to - from, 1), bbox.height);
    }
    ctx.globalAlpha = 0.75;
    for (const mark of data.marks) {
      if (mark.kind > 1) continue;
      ctx.fillStyle = css(MARKS[mark.kind].color);
      ctx.fillRect(x(mark.at) - devicePixelRatio, bbox.top, 2 * devicePixelRatio, 9 * devicePixelRatio);
    }
    vertical(ctx, bbox, data.violations.map(x), "--red");
    if (data.healed !== null) vertical(ctx, bbox, [x(data.healed)], "--green");
    ctx.restore();
  }
  function vertical(ctx, bbox, places, name) {
    ctx.globalAlpha = 0.9;
    ctx.fillStyle = css(name);
    for (const x of places) ctx.fillRect(x, bbox.top, Math.max(1, devicePixelRatio), bbox.height);
  }

  function chart(place, height, series, values, scale, labels) {
    const part = { place };
    const soft = css("--soft"), faint = css("--line");
    const axis = { stroke: soft, font: "11px system-ui, sans-serif", grid: { stroke: faint, width: 1 }, ticks: { stroke: faint, width: 1 } };
    const options = {
      width: place.clientWidth, height, padding: [6, MARGIN, 0, 0], legend: { show: false },
      scales: { x: { time: false, range: () => [range.from, range.to] }, y: scale },
      cursor: { y: false, drag: { x: true, y: false, setScale: false }, bind: { dblclick: () => () => zoom(whole.from, whole.to) } },
      axes: [
        { ...axis, size: 28, splits: (_, __, from, to) => ticks(from, to, 12).found, values: (_, found) => found.map((at) => tickWords(at, found.length > 1 ? found[1] - found[0] : 1000)) },
        { ...axis, size: GUTTER, space: 26, ...labels },
      ],
      series: [{}, ...series],
      hooks: {
        drawAxes: [bands],
        setSelect: [(plot) => { if (plot.select.width > 3) zoom(plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x")); plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false); }],
        setCursor: [(plot) => { if (part.quiet) return; const left = plot.cursor.left; point(left >= 0 ? plot.posToVal(left, "x") : null, part); }],
        draw: [() => { place.dataset.points = values[1].filter((value) => value !== null).length; }],
      },
    };
    part.plot = new uPlot(options, values, place);
    part.plot.over.addEventListener("pointermove", () => { part.plot.over.tip = bucketWords(part.plot.cursor.idx); });
    part.redraw = () => part.plot.batch(() => { part.plot.setSize({ width: place.clientWidth, height }); part.plot.setData(values); });
    part.point = (at) => { part.quiet = true; part.plot.setCursor({ left: at === null ? -10 : part.plot.valToPos(at, "x"), top: 0 }, false); part.quiet = false; };
    drawn.push(part);
  }

  function decades(from, to) {
    const found = [];
    for (let power = Math.floor(Math.log10(from)); power <= Math.ceil(Math.log10(to)); power++) found.push(10 ** power);
    return found.filter((value) => value >= from * 0.999 && value <= to * 1.001);
  }
  const decadeWords = (ms) => (ms < 0.9 ? `${Math.round(ms * 1000)} µs` : ms < 900 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1000)} s`);

  function bucketWords(at) {
    const { traffic } = data;
    if (at === null || at === undefined) return null;
    const ms = (value) => (value === null ? "-" : length(value));
    const from = traffic.at[at], to = from + traffic.width;
    const here = data.faults.filter((fault) => fault.at <= to && (fault.until === null ? fault.at : fault.until) >= from);
    return [
      `${time(from)} to ${time(to)}`,
      `${traffic.ok[at]} acknowledged, ${traffic.fail[at]} refused, ${traffic.unknown[at]} unknown a second`,
      `latency p50 ${ms(traffic.p50[at])}, p99 ${ms(traffic.p99[at])}, max ${ms(traffic.max[at])}`,
      ...here.slice(0, 6).map((fault) => `${fault.kind}${fault.nodes.length ? ` of ${fault.nodes.join(", ")}` : ""}`),
      ...data.marks.filter((mark) => mark.at >= from && mark.at < to).slice(0, 6).map((mark) => markWords(mark).replaceAll("\n", " ")),
    ].join("\n");
  }

  function title(parent, name, unit, ...keys) {
    parent.append(el("div", { class: "bar chart-title" }, el("span", {}, el("b", {}, name), ` ${unit}`), ...keys));
    return parent.appendChild(el("div", {}));
  }

  function traffic(parent) {
    const { at, width, ok, fail, unknown, p50, p99, max } = data.traffic;
    const middle = at.map((from) => from + width / 2);
    const line = (name, extra) => ({ stroke: css(name), width: 1.5, points: { show: false }, ...extra });
    const step = length(width);
    const rates = title(parent, "Throughput", `operations a second, in buckets of ${step}`,
      swatch("var(--read)", "acknowledged", "line"), swatch("var(--fail)", "refused", "line"), swatch("var(--unknown)", "outcome unknown", "line"));
    chart(rates, 150, [line("--read", { fill: `${css("--read")}22` }), line("--fail"), line("--unknown")], [middle, ok, fail, unknown],
      { range: (_, __, most) => [0, Math.max(most * 1.08, 1)] }, { values: (_, found) => found.map((value) => (Number.isInteger(value) ? String(value) : null)) });
    const shown = (value) => (value === null ? null : Math.max(value, 0.001));
    const latencies = title(parent, "Latency", `of acknowledged operations, logarithmic`,
      swatch("var(--p50)", "p50", "line"), swatch("var(--p99)", "p99", "line"), swatch("var(--max)", "max", "line"));
    chart(latencies, 150, [line("--max", { width: 1 }), line("--p99"), line("--p50")], [middle, max.map(shown), p99.map(shown), p50.map(shown)],
      { distr: 3, log: 10 }, { splits: (_, __, from, to) => decades(from, to), filter: (_, found) => found, values: (_, found) => found.map(decadeWords) });
  }

  // ---- lanes (SVG) ------------------------------------------------------------------------------------------------

  const PATTERNS = { be_pulling: "M-2,2 l4,-4 M0,8 l8,-8 M6,10 l4,-4", sealed: "M0,0 l8,8 M8,0 l-8,8", gcing: "M2,2 h1 M6,6 h1" };
  const definitions = () => svg("defs", {}, ...Object.entries(PATTERNS).map(([name, d]) =>
    svg("pattern", { id: `p-${name}`, width: 8, height: 8, patternUnits: "userSpaceOnUse" }, svg("path", { d, stroke: "var(--card)", "stroke-width": name === "gcing" ? 1.6 : 1.3 }))));
  const PHASES = { serving: "serving", be_pulling: "serving while being copied away", sealed: "sealed: nobody serves", gcing: "serving, old owner still deletes" };
  const EFFECTS = { down: "down", paused: "paused", cut: "cut off", trouble: "other trouble" };

  function lanes(parent) {
    const place = parent.appendChild(el("div", { id: "lanes" }));
    const part = { redraw: () => drawLanes(place, part), point: (at) => moveLine(place, part, at) };
    drawn.push(part);
    place.addEventListener("dblclick", () => zoom(whole.from, whole.to));
    place.addEventListener("pointerdown", (event) => { part.dragFrom = moment(place, event); event.preventDefault(); });
    place.addEventListener("pointermove", (event) => { const at = moment(place, event); point(at, null); drag(part, at); });
    place.addEventListener("pointerleave", () => point(null, null));
    addEventListener("pointerup", (event) => {
      const from = part.dragFrom, to = moment(place, event, true);
      part.dragFrom = null;
      if (part.selection) part.selection.setAttribute("width", 0);
      if (from !== null && from !== undefined && part.dragged) zoom(Math.min(from, to), Math.max(from, to));
      part.dragged = false;
    });
  }
  const plotWidth = (place) => Math.max(place.clientWidth - GUTTER - MARGIN, 50);
  function moment(place, event, clamped) {
    const x = event.clientX - place.getBoundingClientRect().left - GUTTER;
    if (!clamped && (x < 0 || x > plotWidth(place))) return null;
    return range.from + (range.to - range.from) * Math.min(Math.max(x / plotWidth(place), 0), 1);
  }
  function drag(part, at) {
    if (part.dragFrom === null || part.dragFrom === undefined || at === null || !part.selection) return;
    const [a, b] = [part.dragFrom, at].map(part.x).sort((a, b) => a - b);
    part.dragged = b - a > 3;
    part.selection.setAttribute("x", a);
    part.selection.setAttribute("width", b - a);
  }
  function moveLine(place, part, at) {
    if (!part.cursor) return;
    const x = at === null ? -9 : part.x(at);
    part.cursor.setAttribute("x1", x);
    part.cursor.setAttribute("x2", x);
  }

  function drawLanes(place, part) {
    const width = plotWidth(place), total = width + GUTTER + MARGIN;
    part.x = (ms) => GUTTER + (ms - range.from) / (range.to - range.from) * width;
    const canvas = { x: part.x, width, y: 4, marks: svg("g", {}), body: svg("g", { "clip-path": "url(#plot)" }), labels: svg("g", {}), back: svg("g", { "clip-path": "url(#plot)" }) };
    drawFaults(canvas);
    for (const lane of data.lanes.nodes) drawNode(canvas, lane);
    canvas.y += 8;
    for (const lane of data.lanes.shards) drawShard(canvas, lane);
    const height = canvas.y + 4;
    drawBack(canvas, height);
    const { step, found } = ticks(range.from, range.to, 12);
    for (const at of found) canvas.labels.append(text(part.x(at), height + 14, tickWords(at, step), { class: "soft", "text-anchor": "middle" }));
    part.cursor = line(-9, 0, -9, height, { stroke: "var(--soft)", "stroke-dasharray": "3 3", "pointer-events": "none" });
    part.selection = rect(0, 0, 0, height, { fill: "#80808033", "pointer-events": "none" });
    const clip = svg("clipPath", { id: "plot" }, rect(GUTTER, 0, width, height + 20));
    place.replaceChildren(svg("svg", { width: total, height: height + 20, role: "img", "aria-label": "lanes of nodes and shards over time" },
      svg("defs", {}, clip), definitions(), canvas.back, canvas.body, svg("g", { "clip-path": "url(#plot)" }, canvas.marks), canvas.labels, part.cursor, part.selection));
  }

  // Draws what is visible of a stretch of time; what is shorter than a pixel still shows.
  function stretch(canvas, from, to, y, height, attributes) {
    if (to < range.from || from > range.to) return null;
    const a = Math.max(canvas.x(from), GUTTER - 2), b = Math.min(canvas.x(to), GUTTER + canvas.width + 2);
    const box = rect(a, y, Math.max(b - a, 0.8), height, attributes);
    canvas.body.append(box);
    return { a, b, box };
  }
  function label(canvas, y, words, className) {
    canvas.labels.append(text(GUTTER - 8, y, words, { "text-anchor": "end", class: className }));
  }

  function drawFaults(canvas) {
    if (!data.faults.length) return;
    const rows = 1 + Math.max(...data.faults.map((fault) => fault.row));
    label(canvas, canvas.y + 11, "faults");
    for (const fault of data.faults) {
      const y = canvas.y + fault.row * 15, to = fault.until === null ? fault.at : fault.until;
      const seen = stretch(canvas, fault.at, to, y, 13, { fill: `var(--${fault.effect})`, rx: 2, "data-fault": fault.kind, tip: faultWords(fault) });
      if (!seen) continue;
      const words = fault.nodes.length && fault.nodes.length < 4 ? `${fault.kind} ${fault.nodes.join(",")}` : fault.kind;
      if (fault.until === null) seen.box.setAttribute("width", 3);
      if (seen.b - seen.a > words.length * 5.4 + 6) canvas.body.append(text(seen.a + 4, y + 10, words, { class: "inside" }));
    }
    canvas.y += rows * 15 + 8;
  }

  const ROLE_ALPHA = { leader: 1, candidate: 1, follower: 0.26, learner: 0.12, starting: 0.06, stopped: 0.9 };
  function drawNode(canvas, lane) {
    const row = 12, top = canvas.y, height = Math.max(lane.rows.length * row, 14);
    canvas.labels.append(text(4, top + height / 2 + 4, `node ${lane.node}`), line(0, top + height + 2.5, GUTTER + canvas.width, top + height + 2.5, { stroke: "var(--line)" }));
    lane.rows.forEach(({ gid, segments }, at) => {
      const y = top + at * row;
      label(canvas, y + 9.5, gid === 0 ? "controller" : `group ${gid}`, "soft small");
      for (const [from, to, now] of segments) drawRole(canvas, lane.node, gid, y, row - 2, from, to, now);
    });
    for (const [from, to] of lane.silent) stretch(canvas, from, to, top, height - 1, { fill: "var(--silent)", "fill-opacity": 0.55, "data-state": "silent", tip: `node ${lane.node} gave no answer\n${span(from, to)}` });
    for (const [from, to, { effect, kind }] of lane.states) {
      const solid = effect === "down";
      const seen = stretch(canvas, from, to, top, height - 1, { fill: `var(--${effect})`, "fill-opacity": solid ? 0.85 : 0.3, stroke: `var(--${effect})`, "stroke-width": solid ? 0 : 1, "data-state": effect, tip: `node ${lane.node} ${EFFECTS[effect]}: ${kind}\n${span(from, to)}` });
      if (seen && seen.b - seen.a > kind.length * 6 + 6) canvas.body.append(text((seen.a + seen.b) / 2, top + height / 2 + 3, kind, { class: solid ? "inside" : "small", "text-anchor": "middle", "pointer-events": "none" }));
    }
    const marks = data.marks.filter((mark) => mark.node === lane.node && mark.at >= range.from && mark.at <= range.to);
    for (const mark of marks) {
      const at = Math.max(0, lane.rows.findIndex(({ gid }) => gid === mark.gid));
      drawMark(canvas, mark, top + at * row, row - 2);
    }
    canvas.y += height + 5;
  }
  function drawRole(canvas, node, gid, y, height, from, to, now) {
    const fills = { candidate: "var(--amber)", stopped: "var(--red)" };
    const words = `node ${node}, ${group(gid)}: ${now.role} in term ${now.term}, member ${now.member}${now.problem ? `\n${now.problem}` : ""}\n${span(from, to)}`;
    const seen = stretch(canvas, from, to, y, height, { fill: fills[now.role] || color(gid), "fill-opacity": ROLE_ALPHA[now.role] ?? 0.15, "data-role": now.role, tip: words });
    if (seen && now.role === "leader" && seen.b - seen.a > 24) canvas.body.append(text(seen.a + 4, y + height - 2, `t${now.term}`, { class: "inside" }));
  }
  function drawMark(canvas, mark, y, height) {
    const x = canvas.x(mark.at);
    canvas.marks.append(
      line(x, y - 1, x, y + height + 1, { stroke: `var(${MARKS[mark.kind].color})`, "stroke-width": mark.kind === 2 ? 1 : 2, "data-mark": mark.name }),
      rect(x - 3, y, 6, height, { fill: "transparent", tip: markWords(mark) }));
  }

  function drawShard(canvas, lane) {
    const many = data.lanes.shards.length > 24, row = many ? 10 : 16, main = many ? 6 : 11, top = canvas.y;
    label(canvas, top + main - 1, `shard ${lane.shard}`, "small");
    for (const [from, to, now] of lane.owner) {
      const words = `shard ${lane.shard}: group ${now.gid}, ${PHASES[now.phase] || now.phase} (${now.phase}), configuration ${now.config}\n${span(from, to)}`;
      const seen = stretch(canvas, from, to, top, main, { fill: color(now.gid), "fill-opacity": now.phase === "sealed" ? 0.55 : 1, "data-phase": now.phase, tip: words });
      if (seen && PATTERNS[now.phase]) canvas.body.append(rect(seen.a, top, Math.max(seen.b - seen.a, 0.8), main, { fill: `url(#p-${now.phase})`, "pointer-events": "none" }));
      if (seen && !many && seen.b - seen.a > 26) canvas.body.append(text(seen.a + 4, top + main - 2.5, `g${now.gid}`, { class: "inside" }));
    }
    for (const [from, to, gid] of lane.pulling) stretch(canvas, from, to, top + main, row - main - 2, { fill: color(gid), "data-phase": "pulling", tip: `shard ${lane.shard}: group ${gid} is pulling it\n${span(from, to)}` });
    for (const mark of data.marks) if (mark.shard === lane.shard && mark.at >= range.from && mark.at <= range.to) drawMark(canvas, mark, top, main);
    canvas.y += row;
  }

  function drawBack(canvas, height) {
    for (const fault of data.faults) {
      if (fault.until === null || fault.until < range.from || fault.at > range.to) continue;
      canvas.back.append(rect(canvas.x(fault.at), 0, canvas.x(fault.until) - canvas.x(fault.at), height, { fill: `var(--${fault.effect})`, "fill-opacity": 0.1 }));
    }
    for (const at of data.violations) canvas.marks.append(line(canvas.x(at), 0, canvas.x(at), height, { stroke: "var(--red)", "stroke-width": 1.5, "data-violation": at }));
    if (data.healed !== null) canvas.marks.append(line(canvas.x(data.healed), 0, canvas.x(data.healed), height, { stroke: "var(--green)", "stroke-width": 1.5, "data-healed": data.healed }));
  }

  function run() {
    const parent = document.getElementById("run");
    const bar = el("div", { class: "bar" }, "drag to zoom, double click for the whole run", el("span", { class: "push" }));
    const button = (words, act) => { const made = el("button", {}, words); made.addEventListener("click", act); bar.append(made); };
    button("whole run", () => zoom(whole.from, whole.to));
    if (data.violations.length) button("around the first violation", () => zoom(data.violations[0] - whole.to / 40, data.violations[0] + whole.to / 80));
    if (data.healed !== null) button("after healing", () => zoom(data.healed, whole.to));
    const effects = Object.entries(EFFECTS).filter(([effect]) => data.faults.some((fault) => fault.effect === effect));
    const keys = el("div", { class: "bar" }, ...effects.map(([effect, words]) => swatch(`var(--${effect})`, words)), swatch("var(--silent)", "no answer"),
      ...MARKS.filter((_, kind) => data.marks.some((mark) => mark.kind === kind)).map((kind) => swatch(`var(${kind.color})`, kind.name, "tick")),
      data.violations.length ? swatch("var(--red)", "violation", "tick") : null, data.healed !== null ? swatch("var(--green)", "healed", "tick") : null);
    const card = el("div", { class: "card" }, bar, keys);
    parent.append(el("h2", {}, "The run over time"), card);
    traffic(card);
    const patterned = (phase) => el("span", { class: "key" }, svg("svg", { width: 24, height: 10 }, rect(0, 0, 24, 10, { fill: "var(--g1)", "fill-opacity": phase === "sealed" ? 0.55 : 1 }), rect(0, 0, 24, 10, { fill: `url(#p-${phase})` })), PHASES[phase]);
    card.append(el("div", { class: "bar chart-title" }, el("span", {}, el("b", {}, "Nodes and shards"), ` as sampled${data.lanes.left_out ? `; ${data.lanes.left_out} stretches too short to draw are left out` : ""}`),
      ...data.lanes.groups.map((gid) => swatch(color(gid), group(gid))),
      el("span", { class: "key" }, svg("svg", { width: 48, height: 10 }, rect(0, 0, 24, 10, { fill: "var(--g1)" }), rect(24, 0, 24, 10, { fill: "var(--g1)", "fill-opacity": 0.26 })), "leader (with term), follower"), swatch("var(--amber)", "candidate")),
      el("div", { class: "bar chart-title" }, ...["be_pulling", "sealed", "gcing"].map(patterned),
        el("span", { class: "key" }, svg("svg", { width: 24, height: 10 }, rect(0, 7, 24, 3, { fill: "var(--g2)" })), "thin: a group is pulling it")));
    lanes(card);
    let width = 0;
    new ResizeObserver(() => { if (width !== card.clientWidth) { width = card.clientWidth; drawn.forEach((part) => part.redraw()); } }).observe(card);
    drawn.forEach((part) => part.redraw());
  }

  // ---- offending keys: calls and returns in their order, not to scale ---------------------------------------------

  function offences() {
    const parent = document.getElementById("offences");
    if (!data.offences.length) return;
    parent.append(el("h2", {}, data.offences.length === 1 ? "The offending key" : "The offending keys"), el("p", { class: "note" },
      "Each bar is an operation, from its call to its return. Left to right is the order of calls and returns, not a scale of time: bars that do not overlap happened one after the other, bars that overlap in any order."));
    for (const offence of data.offences) parent.append(story(offence));
  }

  function story(offence) {
    const where = offence.shard === null ? "" : ` in shard ${offence.shard}`;
    const left = offence.before + offence.after;
    const card = el("div", { class: "card" }, el("p", {}, "key ", el("code", {}, offence.key), `${where}, ${offence.operations.length} operations${left ? ` (${offence.before} before and ${offence.after} after them are left out)` : ""}`));
    for (const finding of offence.found) card.append(el("p", { class: "bad why" }, `${finding.by} at ${time(finding.at)}: ${finding.why}`));
    card.append(el("div", { class: "bar" }, swatch("var(--read)", "read"), swatch("var(--write)", "write"), swatch("var(--unknown)", "outcome unknown: may act at any later time"), swatch("var(--fail)", "certainly not done"), swatch("var(--red)", "impossible")));
    const scroll = card.appendChild(el("div", { class: "scroll" }));
    const rows = el("tbody", {});
    scroll.append(bars(offence, rows, scroll));
    card.append(el("h3", {}, "in words"), el("div", { class: "scroll low" }, el("table", { class: "ops" }, rows)));
    return card;
  }

  // Clients one below the other; a client that was never heard of again leaves its row to a later one.
  function rowsOf(operations) {
    const rows = new Map(), free = [];
    let count = 0;
    operations.forEach((operation, at) => {
      if (!rows.has(operation.client)) rows.set(operation.client, free.length ? free.shift() : count++);
      const later = operations.slice(at + 1).some((other) => other.client === operation.client);
      if (!later && operation.returned !== null) free.push(rows.get(operation.client));
    });
    return { row: (client) => rows.get(client), count };
  }

  function bars(offence, words, scroll) {
    const { operations } = offence, STEP = 18, ROW = 30, LEFT = 34;
    const stamps = [...operations.flatMap((one) => (one.returned === null ? [one.called] : [one.called, one.returned])), ...offence.found.map((one) => one.at)];
    const order = [...new Set(stamps)].sort((a, b) => a - b);
    const place = new Map(order.map((at, rank) => [at, LEFT + rank * STEP]));
    const { row, count } = rowsOf(operations);
    const right = LEFT + order.length * STEP + 90, height = count * ROW + 34;
    const picture = svg("svg", { width: right + 20, height, class: "history" });
    let shown = -1e9;
    for (const at of order) {
      const x = place.get(at);
      if (x - shown < 78) continue;
      shown = x;
      picture.append(line(x, 0, x, height - 18, { stroke: "var(--line)" }), text(x, height - 6, time(at), { class: "soft small", "text-anchor": "middle" }));
    }
    const next = new Map();
    let target = null;
    for (const operation of [...operations].reverse()) {
      const x = place.get(operation.called), y = row(operation.client) * ROW + 16;
      const end = operation.returned === null ? right : Math.max(place.get(operation.returned), x + 5);
      const fill = operation.impossible ? "var(--red)" : `var(--${operation.class})`;
      const open = operation.returned === null;
      const box = rect(x, y, (open ? Math.min(end, (next.get(row(operation.client)) ?? end) - 4) : end) - x, 8, { fill, "fill-opacity": open ? 0.35 : 1, rx: 2, class: operation.impossible ? "operation impossible" : "operation", tip: operation.words });
      const room = ((next.get(row(operation.client)) ?? right + 200) - x) / 5.6;
      const first = operations.find((other) => other.client === operation.client) === operation;
      const full = first ? `c${operation.client}: ${operation.label}` : operation.label;
      const told = full.length > room ? `${full.slice(0, Math.max(room - 1, 0))}…` : full;
      picture.append(box, text(x, y - 3, room < 3 ? "" : told, { class: "small", style: operation.impossible ? "fill:var(--red);font-weight:600" : "", tip: operation.words }));
      next.set(row(operation.client), x);
      const spoken = el("tr", { class: operation.impossible ? "impossible" : "" }, el("td", {}, operation.words));
      words.prepend(spoken);
      box.addEventListener("pointerenter", () => spoken.classList.add("lit"));
      box.addEventListener("pointerleave", () => spoken.classList.remove("lit"));
      if (operation.impossible) target = { x, spoken };
    }
    for (const finding of offence.found) if (!target) picture.append(line(place.get(finding.at), 0, place.get(finding.at), height - 18, { stroke: "var(--red)", "stroke-dasharray": "4 3" }));
    if (target) requestAnimationFrame(() => { scroll.scrollLeft = target.x - scroll.clientWidth / 2; const box = target.spoken.closest(".scroll"); box.scrollTop = target.spoken.offsetTop - box.clientHeight / 2; });
    return picture;
  }

  // ---- messages: one row for each, in the order of sending --------------------------------------------------------

  function diagram() {
    if (!data.diagram) return;
    const { nodes, messages, violation } = data.diagram, ROW = 17, TOP = 26, STAMP = 84;
    const gap = Math.max(70, Math.min(130, 640 / nodes.length)), column = new Map(nodes.map((node, at) => [node, STAMP + 40 + at * gap]));
    const wordsAt = STAMP + 40 + (nodes.length - 1) * gap + 46;
    const sent = messages.map((message) => message.sent), height = TOP + messages.length * ROW + 20;
    const y = (at) => {
      let low = 0, high = sent.length;
      while (low < high) { const middle = (low + high) >> 1; if (sent[middle] <= at) low = middle + 1; else high = middle; }
      const before = low - 1, after = Math.min(low, sent.length - 1);
      const share = after > before && sent[after] > sent[before] ? (at - sent[before]) / (sent[after] - sent[before]) : 1;
      return TOP + (before + Math.min(share, 1)) * ROW;
    };
    const head = svg("svg", { width: wordsAt + 420, height: TOP });
    const picture = svg("svg", { width: wordsAt + 420, height, class: "messages" });
    for (const [node, x] of column) {
      head.append(text(x, 16, node === 0 ? "clients" : `node ${node}`, { "text-anchor": "middle" }));
      picture.append(line(x, 0, x, height, { stroke: "var(--line)", "stroke-width": 2 }));
    }
    picture.append(svg("defs", {}, ...["--g1", "--red"].map((name) => svg("marker", { id: `arrow${name}`, viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 6, markerHeight: 6, orient: "auto" }, svg("path", { d: "M0,0 L8,4 L0,8 z", fill: `var(${name})` })))));
    messages.forEach((message, at) => arrow(picture, message, TOP + at * ROW, y, column, wordsAt));
    const lost = messages.filter((message) => message.arrived === null).length;
    const title = `The last ${messages.length} messages${violation === null ? "" : " before the first violation"}`;
    const scroll = el("div", { class: "scroll" }, picture);
    const card = el("div", { class: "card" }, el("div", { class: "bar" }, swatch("var(--g1)", "delivered", "line"), swatch("var(--red)", `lost (${lost})`, "line"), "one row for each message, in the order of sending; not to scale"), el("div", { style: "overflow:hidden" }, head), scroll);
    const box = el("details", { open: data.violations.length ? "" : null }, el("summary", {}, el("h2", { style: "display:inline-block" }, title)), card);
    document.getElementById("diagram").append(box);
    scroll.addEventListener("scroll", () => { head.style.marginLeft = `${-scroll.scrollLeft}px`; });
    requestAnimationFrame(() => { scroll.scrollTop = scroll.scrollHeight; });
  }

  function arrow(picture, message, top, y, column, wordsAt) {
    const from = column.get(message.from), to = column.get(message.to), lost = message.arrived === null;
    const name = (node) => (node === 0 ? "client" : `node ${node}`);
    const words = `${message.what}\n${name(message.from)} to ${name(message.to)}\nsent ${time(message.sent, 6)}, ${lost ? "lost" : `arrived after ${length(message.arrived - message.sent)}`}`;
    const paint = lost ? "--red" : "--g1", end = lost ? from + (to - from) * 0.55 : to, bottom = lost ? top + 8 : Math.max(y(message.arrived), top + 3);
    picture.append(
      text(4, top + 4, time(message.sent), { class: "soft small" }),
      svg("path", { d: from === to ? `M${from},${top} q26,6 0,12` : `M${from},${top} L${end},${bottom}`, fill: "none", stroke: `var(${paint})`, "stroke-width": 1.2, "stroke-dasharray": lost ? "4 3" : null, "marker-end": lost ? null : `url(#arrow${paint})`, class: lost ? "arrow lost" : "arrow", tip: words }),
      svg("circle", { cx: from, cy: top, r: 2.2, fill: `var(${paint})` }),
      text(wordsAt, top + 4, `${name(message.from).replace("node ", "")} → ${name(message.to).replace("node ", "")}  ${message.what}`, { class: "small", style: lost ? "fill:var(--red)" : "", tip: words }));
    if (lost) picture.append(svg("path", { d: `M${end - 3.5},${bottom - 3.5} l7,7 m0,-7 l-7,7`, stroke: "var(--red)", "stroke-width": 1.6, class: "cross" }));
  }

  for (const part of [offences, diagram, run]) {
    try { part(); } catch (error) { complain(`${part.name}: ${error.stack}`); console.error(error); }
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
  root.dataset.drawn = "yes";
})();
