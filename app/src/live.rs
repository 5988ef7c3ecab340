//! Live changes: the server says what changed, and the pages that show it ask for it anew.

use leptos::prelude::*;
use otter_protocol::admin::{Change, ChangeKind};

/// Changes gathered for a moment, so that a busy rollout doesn't make a page ask a hundred times a second.
#[derive(Clone, Default)]
struct Batch {
    changes: Vec<Change>,
    /// Changes were missed: everything counts as changed.
    is_reset: bool,
}

/// The stream of changes, in a page's context.
#[derive(Clone, Copy)]
pub(crate) struct Live {
    batch: RwSignal<Batch>,
    is_lost: RwSignal<bool>,
}

impl Live {
    /// Puts the stream into the context, and opens it in the browser.
    pub(crate) fn provide() {
        let live = Self {
            batch: RwSignal::new(Batch::default()),
            is_lost: RwSignal::new(false),
        };
        provide_context(live);
        #[cfg(feature = "hydrate")]
        Effect::new(move |_| stream::open(live));
    }

    /// Tells whether the connection is lost.
    pub(crate) fn is_lost(self) -> bool {
        self.is_lost.get()
    }

    /// Returns a number that grows with each change that is wanted: a part of a resource's source.
    pub(crate) fn on(
        self,
        wants: impl Fn(&Change) -> bool + Send + Sync + 'static,
    ) -> RwSignal<u64> {
        let version = RwSignal::new(0);
        Effect::new(move |_| {
            let is_wanted = self
                .batch
                .with(|batch| batch.is_reset || batch.changes.iter().any(&wants));
            if is_wanted {
                version.update(|version| *version += 1);
            }
        });
        version
    }

    /// Returns such a number for all changes to some kinds of things.
    pub(crate) fn on_kinds(self, kinds: &'static [ChangeKind]) -> RwSignal<u64> {
        self.on(move |change| kinds.contains(&change.kind))
    }
}

/// Returns the stream of changes.
pub(crate) fn live() -> Live {
    expect_context::<Live>()
}

#[cfg(feature = "hydrate")]
mod stream {
    use std::time::Duration;

    use leptos::prelude::*;
    use otter_protocol::admin::Change;
    use wasm_bindgen::JsCast;
    use wasm_bindgen::closure::Closure;
    use web_sys::{Event, EventSource, MessageEvent};

    use super::{Batch, Live};

    /// How long changes are gathered.
    const GATHERING: Duration = Duration::from_millis(300);
    /// How long to wait after the server refused the stream; the browser itself comes back only after broken connections.
    const PAUSE: Duration = Duration::from_secs(5);

    /// An open stream and what listens to it.
    struct Open {
        source: EventSource,
        _listeners: Vec<Closure<dyn FnMut(Event)>>,
    }

    /// Opens the stream, until the owner is gone.
    pub(super) fn open(live: Live) {
        let gathered = StoredValue::new_local(Batch::default());
        let current = StoredValue::new_local(None::<Open>);
        connect(live, gathered, current);
        on_cleanup(move || {
            current.try_update_value(|open| {
                if let Some(open) = open.take() {
                    open.source.close();
                }
            });
        });
    }

    type Gathered = StoredValue<Batch, LocalStorage>;
    type Current = StoredValue<Option<Open>, LocalStorage>;

    fn connect(live: Live, gathered: Gathered, current: Current) {
        let Ok(source) = EventSource::new("/api/v1/live") else {
            live.is_lost.set(true);
            return;
        };
        let opened = listener(move |_| {
            // What happened in the meantime is unknown.
            if live.is_lost.try_get_untracked() == Some(true) {
                live.is_lost.set(false);
                gather(live, gathered, |batch| batch.is_reset = true);
            }
        });
        let changed = listener(move |event| {
            let text = event
                .dyn_into::<MessageEvent>()
                .ok()
                .and_then(|event| event.data().as_string());
            if let Some(change) = text.and_then(|text| serde_json::from_str::<Change>(&text).ok()) {
                gather(live, gathered, |batch| batch.changes.push(change));
            }
        });
        let reset = listener(move |_| gather(live, gathered, |batch| batch.is_reset = true));
        let failed = {
            let source = source.clone();
            listener(move |_| {
                if live.is_lost.try_set(true).is_none()
                    && source.ready_state() == EventSource::CLOSED
                {
                    set_timeout(move || reconnect(live, gathered, current), PAUSE);
                }
            })
        };
        for (name, listener) in [
            ("open", &opened),
            ("change", &changed),
            ("reset", &reset),
            ("error", &failed),
        ] {
            if source
                .add_event_listener_with_callback(name, listener.as_ref().unchecked_ref())
                .is_err()
            {
                leptos::logging::warn!("live changes can't be listened to");
            }
        }
        let open = Open {
            source,
            _listeners: vec![opened, changed, reset, failed],
        };
        current.try_update_value(|current| *current = Some(open));
    }

    fn reconnect(live: Live, gathered: Gathered, current: Current) {
        // The page may be gone by now.
        if live.is_lost.try_get_untracked().is_some() {
            connect(live, gathered, current);
        }
    }

    fn listener(run: impl FnMut(Event) + 'static) -> Closure<dyn FnMut(Event)> {
        Closure::wrap(Box::new(run) as Box<dyn FnMut(Event)>)
    }

    /// Adds to what is gathered; the first to do so has it told in a moment.
    fn gather(live: Live, gathered: Gathered, add: impl FnOnce(&mut Batch)) {
        let was_empty = gathered.try_update_value(|batch| {
            let was_empty = batch.changes.is_empty() && !batch.is_reset;
            add(batch);
            was_empty
        });
        if was_empty == Some(true) {
            set_timeout(
                move || {
                    if let Some(batch) = gathered.try_update_value(std::mem::take) {
                        live.batch.try_set(batch);
                    }
                },
                GATHERING,
            );
        }
    }
}
