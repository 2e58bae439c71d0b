//! Events as JSON, for machines: `--json`.
//!
//! One object a line on standard output. `event` says which; the other fields
//! are of that event and are stable: names are added, never changed. Addresses
//! are texts, because they have 64 bits and JSON's numbers 53. After everything
//! that a command had to say comes `{"event":"done","command":…}` or
//! `{"event":"error","command":…,"message":…}`. Nothing else is printed to
//! standard output but by the program that is debugged.

use sapwood_dbg::event::{
    Began, BreakpointView, Disassembly, DisassemblyRow, Event, FrameKind, FrameView,
    GenerationView, SourceLines, StopReason, Stopped, ThreadView, ValueView, VariableView,
    WatchHit,
};
use sapwood_dbg::target::Address;
use serde_json::{Value, json};

/// A command that has done what it was to do.
pub fn done(command: &str) -> String {
    json!({"event": "done", "command": command}).to_string()
}

/// A command that failed.
pub fn error(command: &str, message: &str) -> String {
    json!({"event": "error", "command": command, "message": message}).to_string()
}

/// An event.
pub fn event(event: &Event) -> String {
    object(event).to_string()
}

fn object(event: &Event) -> Value {
    match event {
        Event::Stopped(stop) => stopped(stop),
        Event::Exited { process, status } => {
            json!({"event": "exited", "process": process.0, "status": status})
        }
        Event::Killed { process, signal } => {
            json!({"event": "killed", "process": process.0, "signal": signal.name()})
        }
        Event::Started {
            process,
            program,
            how,
        } => {
            let how = match how {
                Began::Launched => "launched",
                Began::Attached => "attached",
                Began::Executed => "executed",
                Began::Core => "core",
            };
            let program = program.display().to_string();
            json!({"event": "started", "process": process.0, "program": program, "how": how})
        }
        Event::Detached { process } => json!({"event": "detached", "process": process.0}),
        Event::Forked {
            parent,
            child,
            followed,
        } => json!({
            "event": "forked", "parent": parent.0, "child": child.0, "followed": followed,
        }),
        Event::Thread { thread: of, new } => {
            let event = if *new { "thread-new" } else { "thread-exited" };
            json!({"event": event, "thread": thread(of)})
        }
        Event::SignalPassed { thread: of, signal } => json!({
            "event": "signal-passed", "thread": thread(of), "signal": signal.name(),
        }),
        Event::BreakpointSet(view) => {
            json!({"event": "breakpoint-set", "breakpoint": breakpoint(view)})
        }
        Event::BreakpointPending(view, why) => json!({
            "event": "breakpoint-pending", "breakpoint": breakpoint(view), "why": why,
        }),
        Event::BreakpointArmed(view) => {
            json!({"event": "breakpoint-armed", "breakpoint": breakpoint(view)})
        }
        Event::BreakpointGone(id) => json!({"event": "breakpoint-gone", "id": id.0}),
        Event::BreakpointChanged(view, text) => json!({
            "event": "breakpoint-changed", "breakpoint": breakpoint(view), "text": text,
        }),
        Event::Frame(of, lines) => json!({
            "event": "frame", "frame": frame(of), "source": lines.as_ref().map(source),
        }),
        Event::Frames(frames, end) => json!({
            "event": "frames", "frames": frames.iter().map(frame).collect::<Vec<_>>(), "end": end,
        }),
        Event::Value(of) => json!({"event": "value", "value": value(of)}),
        Event::Displayed { number, what, text } => json!({
            "event": "displayed", "number": number, "what": what, "text": text,
        }),
        Event::Variables(all, what) => {
            json!({"event": "variables", "what": what, "variables": variables(all)})
        }
        Event::Breakpoints(all) => json!({
            "event": "breakpoints",
            "breakpoints": all.iter().map(breakpoint).collect::<Vec<_>>(),
        }),
        Event::Registers(all) => {
            let all = all.iter().map(|register| {
                let (name, raw) = (&register.name, &register.raw);
                json!({"name": name, "raw": raw, "natural": register.natural})
            });
            json!({"event": "registers", "registers": all.collect::<Vec<_>>()})
        }
        Event::Disassembly(of) => disassembly(of),
        Event::Memory(rows) => {
            let rows = rows.iter().map(|row| {
                json!({
                    "address": address(row.address),
                    "symbol": row.symbol.as_ref().map(symbol),
                    "units": row.units,
                })
            });
            json!({"event": "memory", "rows": rows.collect::<Vec<_>>()})
        }
        Event::Source(lines) => json!({"event": "source", "source": source(lines)}),
        Event::Threads(all) => {
            let all = all.iter().map(|line| {
                let mut of = thread(&line.thread);
                of["selected"] = json!(line.selected);
                of["frame"] = json!(line.frame.as_ref().map(frame));
                of
            });
            json!({"event": "threads", "threads": all.collect::<Vec<_>>()})
        }
        Event::Generations(all) => json!({
            "event": "generations",
            "generations": all.iter().map(generation).collect::<Vec<_>>(),
        }),
        Event::Published(of) => json!({"event": "published", "generation": generation(of)}),
        Event::Text(text) => json!({"event": "text", "text": text}),
        Event::Warning(text) => json!({"event": "warning", "text": text}),
        Event::Quit(status) => json!({"event": "quit", "status": status.unwrap_or(0)}),
    }
}

fn address(of: Address) -> Value {
    json!(format!("{:#x}", of.0))
}

fn symbol((name, offset): &(String, u64)) -> Value {
    json!({"name": name, "offset": offset})
}

fn stopped(stop: &Stopped) -> Value {
    let mut value = json!({
        "event": "stopped",
        "thread": thread(&stop.thread),
        "frame": frame(&stop.frame),
        "source": stop.source.as_ref().map(source),
    });
    if let Some(place) = stop.place {
        value["place"] = json!(place);
    }
    reason(&stop.reason, &mut value);
    value
}

/// Adds `reason` and what belongs to it.
fn reason(reason_of: &StopReason, to: &mut Value) {
    let mut put = |name: &str, value: Value| to[name] = value;
    let name = match reason_of {
        StopReason::Breakpoint(id, temporary) => {
            put("breakpoint", json!(id.0));
            put("temporary", json!(temporary));
            "breakpoint"
        }
        StopReason::Watchpoints(hits, also) => {
            put("changes", hits.iter().map(change).collect());
            if let Some(also) = also {
                let mut inner = json!({});
                reason(also, &mut inner);
                put("also", inner);
            }
            "watchpoint"
        }
        StopReason::WatchpointScope(id, expression) => {
            put("breakpoint", json!(id.0));
            put("expression", json!(expression));
            "watchpoint-scope"
        }
        StopReason::Caught(id, what) => {
            put("breakpoint", json!(id.0));
            put("what", json!(what));
            "caught"
        }
        StopReason::Stepped => "stepped",
        StopReason::Finished { value: of } => {
            put("value", json!(of.as_ref().map(value)));
            "finished"
        }
        StopReason::Arrived => "arrived",
        StopReason::Signal(signal, at) => {
            put("signal", json!(signal.name()));
            put("address", json!(at.map(address)));
            "signal"
        }
        StopReason::Died(signal) => {
            put("signal", json!(signal.name()));
            "died"
        }
        StopReason::Interrupted => "interrupted",
        StopReason::Attached => "attached",
        StopReason::Executed(path) => {
            put("program", json!(path.display().to_string()));
            "executed"
        }
        StopReason::InCall(inner, function) => {
            reason(inner, to);
            to["in-call"] = json!(function);
            return;
        }
        StopReason::CallDone(of) => {
            put("value", json!(of.as_ref().map(value)));
            "call-done"
        }
        StopReason::ThreadEnded => "thread-ended",
    };
    to["reason"] = json!(name);
}

fn change(of: &WatchHit) -> Value {
    json!({
        "breakpoint": of.id.0,
        "expression": of.expression,
        "old": of.old,
        "new": of.new,
    })
}

fn thread(of: &ThreadView) -> Value {
    json!({
        "number": of.number,
        "id": of.id.0,
        "name": of.name,
        "handle": of.handle.map(|handle| format!("{handle:#x}")),
    })
}

fn frame(of: &FrameView) -> Value {
    let kind = match of.kind {
        FrameKind::Normal => "normal",
        FrameKind::Inlined => "inlined",
        FrameKind::Signal => "signal",
        FrameKind::Call => "call",
    };
    let arguments = of
        .arguments
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}));
    json!({
        "level": of.level,
        "pc": address(of.pc),
        "kind": kind,
        "function": of.function,
        "arguments": arguments.collect::<Vec<_>>(),
        "file": of.file.as_ref().map(|file| file.display().to_string()),
        "line": (of.line != 0).then_some(of.line),
        "module": of.module.as_ref().map(|module| module.display().to_string()),
        "locals": of.locals.as_ref().map(|locals| variables(locals)),
    })
}

fn variables(all: &[VariableView]) -> Value {
    let one = |of: &VariableView| json!({"name": of.name, "value": of.value, "type": of.type_name});
    all.iter().map(one).collect()
}

fn value(of: &ValueView) -> Value {
    json!({"number": of.number, "text": of.text, "type": of.type_name})
}

fn source(of: &SourceLines) -> Value {
    json!({
        "file": of.file.display().to_string(),
        "first": of.first,
        "lines": of.lines,
        "current": of.current,
        "missing": of.missing,
    })
}

fn breakpoint(of: &BreakpointView) -> Value {
    let places = of.places.iter().map(|place| {
        json!({
            "address": address(place.address),
            "function": place.function,
            "file": place.file.as_ref().map(|file| file.display().to_string()),
            "line": (place.line != 0).then_some(place.line),
        })
    });
    json!({
        "id": of.id.0,
        "kind": of.kind,
        "spec": of.spec,
        "temporary": of.temporary,
        "enabled": of.enabled,
        "places": places.collect::<Vec<_>>(),
        "condition": of.condition,
        "hits": of.hits,
        "ignore": of.ignore,
        "commands": of.commands,
        "thread": of.thread,
    })
}

fn disassembly(of: &Disassembly) -> Value {
    let rows = of.rows.iter().map(|row| match row {
        DisassemblyRow::Source(lines) => json!({"source": source(lines)}),
        DisassemblyRow::Instruction(one) => json!({
            "address": address(one.address),
            "symbol": one.symbol.as_ref().map(symbol),
            "bytes": one.bytes,
            "text": one.text,
            "target": one.target,
            "current": one.current,
        }),
    });
    json!({
        "event": "disassembly",
        "function": of.function,
        "rows": rows.collect::<Vec<_>>(),
    })
}

fn generation(of: &GenerationView) -> Value {
    let symbols = of
        .symbols
        .iter()
        .map(|(name, at, size)| json!({"name": name, "address": address(*at), "size": size}));
    json!({
        "number": of.number,
        "from": of.from,
        "symbols": symbols.collect::<Vec<_>>(),
        "bytes": of.bytes,
    })
}
