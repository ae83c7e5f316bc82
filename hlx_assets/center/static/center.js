// What is live on the pages: numbers change in place, parts are fetched again when a session's state changes, curves and
// logs grow. Nothing here keeps a state of its own: a reload shows the same.
"use strict";

(() => {
  const NOTHING = "–";
  const POLL_MS = 2000;
  const MAX_LOG_LINES = 2000;
  const MAX_WAIT_MS = 30_000;
  const states = JSON.parse(document.body.dataset.states);
  const byId = id => document.getElementById(id);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const own = document.querySelector("[data-page]")?.dataset.session; // on the page of one session
  const shown = new Map(); // by session: its last message, or what the page said when it was loaded

  // Text

  const visible = text => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, sign =>
    sign === "\n" || sign === "\t" ? sign : `⟨U+${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
  const loss = value => value === null ? NOTHING : value.toFixed(3);
  const whole = value => value === null ? NOTHING : Math.round(value).toLocaleString("en-US");
  const small = value => {
    const short = value && Number(value.toPrecision(3));
    return value === null ? NOTHING : short && Math.abs(short) < 1e-4 ? short.toExponential() : String(short);
  };
  const duration = seconds => {
    if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    return seconds < 172_800 ? `${(seconds / 3600).toFixed(1)} hours` : `${Math.round(seconds / 86_400)} days`;
  };
  const percent = message => `${Math.floor(message.progress ?? 0)}%`;
  const FIELDS = {
    progress: percent,
    state: message => states[message.state],
    reason: message => message.reason ? `: ${message.reason}`
      : message.phase && message.status === "running" ? `: phase ${message.phase}` : "",
    epoch: message => message.epoch === null ? NOTHING : `${message.epoch} of ${message.total_epochs}`,
    train_loss: message => loss(message.train_loss),
    val_loss: message => loss(message.val_loss),
    tokens_per_second: message => whole(message.tokens_per_second),
    learning_rate: message => small(message.learning_rate),
    eta_hours: message => message.eta_hours === null ? NOTHING : duration(message.eta_hours * 3600),
  };

  // What a message has in backticks is code, as in `ticks` of rendering.py.
  function write(element, text) {
    const parts = visible(text).split("`");
    element.replaceChildren(...parts.length % 2 ? parts.map((part, i) =>
      i % 2 ? Object.assign(document.createElement("code"), {textContent: part}) : part) : [visible(text)]);
  }

  function announce(text) {
    byId("said").textContent = text;
  }

  function say(id, text) {
    byId(id).textContent = text;
    byId(id).hidden = !text;
  }

  // The messages of the WebSocket

  const stale = new Set();

  function refresh(...ids) {
    if (!stale.size) {
      setTimeout(() => { // messages come together: a part is fetched once for all of them
        for (const id of stale) if (byId(id)) htmx.trigger(byId(id), "refresh");
        stale.clear();
      }, 100);
    }
    ids.forEach(id => stale.add(id));
  }

  function apply(message) {
    const id = message.session_id, before = shown.get(id);
    const roots = all(`[data-session="${CSS.escape(id)}"]`);
    for (const field of roots.flatMap(root => all("[data-field]", root))) {
      if (field.dataset.field === "bar") field.value = message.progress ?? 0;
      else {
        const text = FIELDS[field.dataset.field](message);
        if (field.textContent !== text.replaceAll("`", "")) write(field, text);
      }
    }
    shown.set(id, message);
    const differs = name => !before || (before[name] ?? "") !== (message[name] ?? "");
    if (differs("status") || differs("state") || differs("position")) refresh("overall", "queue", "head", `gates-${id}`, `opinions-${id}`);
    else if (differs("epoch") || differs("training_id")) refresh(`gates-${id}`, `opinions-${id}`);
    if (message.status === "running") roots.flatMap(root => all("[data-log]", root)).forEach(follow);
    if (differs("status")) {
      if (message.status === "running" || before?.status === "running") refresh("live");
      if (before) {
        refresh("history", "checkpoints", "costs", "health");
        announce(`${before.label}: ${message.status}`);
      }
    }
    message.label = before?.label ?? roots.find(root => root.dataset.label)?.dataset.label ?? "";
    if (message.status === "running" && message.label) {
      document.title = `▶ ${percent(message)} ${message.label} – HLX Brain`;
    }
    if (before && differs("step")) for (const box of roots.flatMap(root => all("[data-curve]", root))) grow(box);
  }

  let wait = 1000, lost = false;

  function connect() {
    const address = new URL("/training/status", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (own) address.searchParams.set("session_id", own);
    const socket = new WebSocket(address);
    socket.onopen = () => {
      if (lost) {
        refresh("overall", "queue", "live", "history", "checkpoints", "health", "head");
        announce("Live updates are back.");
      }
      [wait, lost] = [1000, false];
      say("connection", "");
    };
    socket.onmessage = event => apply(JSON.parse(event.data));
    socket.onclose = () => {
      lost = true;
      say("connection", `No live updates: the server does not answer. Next try in ${Math.round(wait / 1000)} s.`);
      setTimeout(connect, wait);
      wait = Math.min(2 * wait, MAX_WAIT_MS);
    };
  }

  // Curves

  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const plots = new Set();
  const OUTCOMES = {pass: ["✓", "completed"], warn: ["!", "queued"], fail: ["✗", "failed"]};

  // The record at the end of an epoch has its mean training loss, which belongs to the line of single steps only if
  // there are none.
  function columns(curve) {
    const single = curve.points.some(point => point.val_loss === null), found = new Map();
    for (const point of curve.points) {
      const losses = found.get(point.step) ?? {train: null, val: null};
      if (!single || point.val_loss === null) losses.train = point.train_loss;
      losses.val = point.val_loss ?? losses.val;
      found.set(point.step, losses);
    }
    const steps = [...found].sort(([one], [other]) => one - other);
    return [steps.map(([step]) => step), steps.map(([, {train}]) => train), steps.map(([, {val}]) => val)];
  }

  function drawMarks(plot, milestones) {
    const {ctx, bbox} = plot, scale = devicePixelRatio;
    let last = -Infinity;
    ctx.save();
    ctx.font = `600 ${11 * scale}px system-ui, sans-serif`;
    ctx.textAlign = "right";
    for (const mark of milestones.filter(mark => mark.step !== null)) {
      const x = plot.valToPos(mark.step, "x", true), [sign, name] = OUTCOMES[mark.outcome];
      const worst = mark.gates.filter(gate => gate.outcome === mark.outcome).map(gate => gate.name);
      ctx.strokeStyle = ctx.fillStyle = colour(name);
      ctx.lineWidth = scale;
      ctx.setLineDash([3 * scale, 3 * scale]);
      ctx.beginPath();
      const crowded = x - last < 14 * scale && mark.outcome === "pass";
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + (crowded ? 6 * scale : bbox.height));
      ctx.stroke();
      if (crowded) continue;
      last = x;
      ctx.save();
      ctx.translate(x - 4 * scale, bbox.top + 4 * scale);
      ctx.rotate(-Math.PI / 2);
      const what = mark.outcome === "pass" && worst.length > 1 ? `${worst.length} gates` : worst.join(", ");
      const text = visible(`${sign} ${what}`).slice(0, 40);
      ctx.setLineDash([]);
      ctx.lineWidth = 3 * scale;
      ctx.strokeStyle = colour("card");
      ctx.strokeText(text, 0, 0);
      ctx.fillText(text, 0, 0);
      ctx.restore();
    }
    ctx.restore();
  }

  function axis(label) {
    return {label, labelSize: 18, labelFont: "12px system-ui, sans-serif", font: "12px system-ui, sans-serif", size: label === "step" ? 32 : 44,
      stroke: () => colour("soft"), grid: {stroke: () => colour("rule"), width: 1}, ticks: {show: false}};
  }

  const height = box => box.clientWidth < 560 ? 230 : 300;

  function chart(box, series, data, milestones) {
    const plot = new uPlot({
      width: box.clientWidth || 300, height: height(box), series: [{label: "step"}, ...series],
      scales: {x: {time: false}, y: {range: (_, low, high) => [0, (high || 1) * 1.05]}},
      axes: [axis("step"), axis("loss (nats a token)")], cursor: {drag: {x: false, y: false}}, padding: [8, 12, 0, 0],
      hooks: {draw: [self => drawMarks(self, self.milestones ?? milestones)]},
    }, data, box);
    plot.box = box;
    plots.add(plot);
    new ResizeObserver(() => box.clientWidth && plot.setSize({width: box.clientWidth, height: height(box)})).observe(box);
    return plot;
  }

  const line = (label, name, width, more) => ({
    label, width, spanGaps: true, stroke: () => colour(name), points: {show: false}, value: (_, value) => loss(value ?? null), ...more,
  });

  async function read(address) {
    const answer = await fetch(address, {headers: {accept: "application/json"}});
    if (!answer.ok) throw new Error(`${answer.status}`);
    return answer.json();
  }

  async function grow(box) {
    if (box.busy || document.hidden) {
      box.missed = true;
      return;
    }
    [box.busy, box.missed] = [true, false];
    try {
      const curves = await read(`/api/training/${box.dataset.curve}/metrics`);
      for (const curve of curves.filter(one => one.points.length)) {
        box.charts ??= new Map();
        const found = box.charts.get(curve.training_id), data = columns(curve);
        if (found) {
          found.milestones = curve.milestones;
          found.setData(data);
        } else {
          const figure = document.createElement("figure");
          const caption = document.createElement("figcaption");
          caption.textContent = curves.length > 1 ? `Phase ${curve.phase}` : "";
          figure.append(caption);
          box.append(figure);
          const points = {show: true, size: 5};
          const lines = [line("training", "training", 1.25), line("validation", "validation", 2, {points})];
          box.charts.set(curve.training_id, chart(figure, lines, data, curve.milestones));
        }
        describe(box.charts.get(curve.training_id).root, curve);
      }
    } catch {
      // The next message tries again.
    }
    setTimeout(() => {
      box.busy = false;
      if (box.missed && box.isConnected) grow(box);
    }, POLL_MS);
  }

  function describe(root, curve) {
    const last = name => curve.points.findLast(point => point[name] !== null);
    const words = ["train_loss", "val_loss"].map(name => last(name)
      && `${name === "train_loss" ? "training" : "validation"} loss ${loss(last(name)[name])} at step ${last(name).step}`);
    const canvas = root.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Curve of phase ${curve.phase}: ${words.filter(Boolean).join("; ")}`);
  }

  async function compare(box) {
    const found = await read(`/api/training/compare?ids=${encodeURIComponent(box.dataset.compare)}`);
    const curves = found.curves.map((curve, i) => curve && {...curve, number: i + 1}).filter(curve => curve?.points.length);
    if (!curves.length) return;
    const series = curves.flatMap(curve => {
      const number = curve.number, dash = [[], [8, 4], [2, 3], [10, 3, 2, 3]][number - 1];
      const name = `${number}, phase ${curve.phase}`, colours = `s${number}`;
      const few = loss => ({show: curve.points.filter(point => point[loss] !== null).length < 3, size: 6});
      return [
        line(`${name}, training`, colours, 1, {alpha: 0.45, points: few("train_loss")}),
        line(`${name}, validation`, colours, 2, {dash, points: few("val_loss")}),
      ];
    });
    const plot = chart(box, series, uPlot.join(curves.map(columns)), []);
    const canvas = plot.root.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "Losses of the compared sessions over steps; the table has the figures");
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const plot of plots) plot.box.isConnected ? plot.redraw() : plots.delete(plot);
  });

  // Logs

  function logLine(line) {
    const row = document.createElement("p");
    row.className = line.level.toLowerCase();
    const add = (tag, name, text) => {
      row.append(Object.assign(document.createElement(tag), {className: name, textContent: text}), " ");
      return row.querySelector(tag);
    };
    add("time", "", line.time).dateTime = line.time;
    add("span", "level", row.className);
    if (line.step) add("span", "step", line.step);
    add("span", "text", visible(line.text));
    return row;
  }

  function follow(box) {
    if (box.followed) return;
    box.followed = true;
    byId(`log-pause-${box.dataset.log}`).hidden = false;
    setTimeout(() => poll(box), POLL_MS);
  }

  async function poll(box) {
    if (!box.isConnected) return;
    const running = shown.get(box.dataset.log)?.status === "running";
    let more = false;
    if (!document.hidden && !("paused" in box.dataset)) {
      try {
        const cursor = box.dataset.cursor ? `&cursor=${encodeURIComponent(box.dataset.cursor)}` : "";
        const found = await read(`/api/training/${box.dataset.log}/log?limit=500${cursor}`);
        const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
        if (found.lines.length) box.querySelector("[data-log-empty]")?.remove();
        box.append(...found.lines.map(logLine));
        localTimes(box);
        while (box.children.length > MAX_LOG_LINES) box.firstElementChild.remove();
        if (atEnd) box.scrollTop = box.scrollHeight;
        box.dataset.cursor = found.cursor ?? box.dataset.cursor;
        more = found.more;
      } catch {
        // The next round tries again.
      }
    }
    if (!box.isConnected) return; // it was replaced while the answer came
    if (running || more) setTimeout(() => poll(box), more ? 100 : POLL_MS);
    else {
      box.followed = false;
      byId(`log-pause-${box.dataset.log}`).hidden = true;
    }
  }

  // Fragments: what a person has opened, ticked, typed and focused stays

  const clock = new Intl.DateTimeFormat("en-GB", {timeStyle: "medium"});
  const date = new Intl.DateTimeFormat("en-GB", {dateStyle: "medium", timeStyle: "short"});

  function localTimes(root) {
    for (const time of all("time:not([data-local])", root)) {
      time.dataset.local = "";
      time.textContent = (time.closest(".log") ? clock : date).format(new Date(time.dateTime));
    }
  }

  function remember(target) {
    const controls = all("input[id], select[id], textarea[id]", target), active = document.activeElement;
    return {
      focus: target.contains(active) ? active.id : null, near: active?.closest("li[id]")?.id,
      open: all("details[id][open]", target).map(one => one.id),
      typed: controls.map(one => [one.id, one.type === "checkbox" ? one.checked : one.value]),
      scrolled: all(".scroll", target).map(one => one.scrollTop),
    };
  }

  function restore(target, kept, typed) {
    for (const id of kept.open) if (byId(id)) byId(id).open = true;
    for (const [id, value] of typed ? kept.typed : []) {
      if (byId(id)) byId(id)[typeof value === "boolean" ? "checked" : "value"] = value;
    }
    all(".scroll", target).forEach((one, i) => { one.scrollTop = kept.scrolled[i] ?? 0; });
    if (kept.focus !== null && !target.contains(document.activeElement)) {
      const next = byId(kept.focus) ?? byId(kept.near)?.querySelector("a, button") ?? target;
      next.focus({preventScroll: true});
    }
  }

  function setUp(root) {
    localTimes(root);
    for (const element of all("[data-session][data-status]", root)) {
      const {session, status, state, position, label} = element.dataset;
      if (!shown.has(session)) shown.set(session, {status, state, position: position ? Number(position) : null, label});
      else shown.get(session).label ||= label;
    }
    for (const box of all("[data-curve]", root)) if (!box.charts) grow(box);
    for (const box of all("[data-compare]", root)) compare(box).catch(() => {});
    for (const box of all("[data-log]", root)) {
      box.scrollTop = box.scrollHeight;
      if (shown.get(box.dataset.log)?.status === "running") follow(box);
    }
  }

  document.addEventListener("click", event => {
    const button = event.target.closest("[data-log-pause]");
    if (!button) return;
    const box = button.closest("[data-session]").querySelector("[data-log]");
    const paused = box.toggleAttribute("data-paused");
    button.setAttribute("aria-pressed", String(paused));
    button.parentElement.querySelector("[data-log-state]").textContent = paused ? "paused" : "";
  });

  const kept = new Map(); // by the id of what is being replaced
  document.body.addEventListener("htmx:beforeSwap", ({detail}) => kept.set(detail.target.id, remember(detail.target)));
  document.body.addEventListener("htmx:afterSettle", ({detail}) => {
    const id = detail.target.id, target = byId(id);
    if (!target || !kept.has(id)) return;
    restore(target, kept.get(id), detail.requestConfig.verb === "get");
    kept.delete(id);
    setUp(target);
    say("failure", "");
    const said = target.querySelector("[data-say]");
    if (said) announce(said.textContent);
    if (detail.requestConfig.verb !== "get") (said ?? target.querySelector(".alert"))?.scrollIntoView({block: "nearest"});
  });
  document.body.addEventListener("htmx:responseError", ({detail}) => {
    let why = detail.xhr.responseText;
    try {
      why = JSON.parse(why).detail;
    } catch {
      // It is text.
    }
    say("failure", `Not done (${detail.xhr.status}): ${visible(String(why)).slice(0, 300)}`);
  });
  document.body.addEventListener("htmx:sendError", ({detail}) => {
    if (detail.requestConfig.verb !== "get") say("failure", "Not done: the server does not answer.");
  });

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) for (const box of all("[data-curve]")) if (box.missed) grow(box);
  });

  setUp(document);
  if (document.querySelector("[data-session], #queue")) connect();
})();
