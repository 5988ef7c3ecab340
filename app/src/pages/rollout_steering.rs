//! Pausing, resuming and aborting a rollout.

use leptos::prelude::*;
use otter_protocol::rollout::{Rollout, RolloutState};

use crate::api::rollouts::SteerRollout;
use crate::components::field::Field;

/// What can be done with the rollout as it is.
pub(crate) fn steering(
    rollout: &Rollout,
    steer: ServerAction<SteerRollout>,
) -> impl IntoView + use<> {
    let id = rollout.id.to_string();
    let goes_on = matches!(
        rollout.state,
        RolloutState::Running | RolloutState::Scheduled
    );
    let (to_pause, to_resume) = (id.clone(), id.clone());
    let is_paused = rollout.state == RolloutState::Paused;
    rollout.state.is_live().then(|| view! {
        <section class="card" aria-labelledby="steer">
            <div class="card-head"><h2 id="steer">"Steer"</h2></div>
            <div class="card-body">
                {goes_on.then(|| view! {
                    <ActionForm action=steer>
                        <div class="form">
                            <input type="hidden" name="id" value=to_pause />
                            <Field id="pause-reason" label="Reason to pause">
                                <input id="pause-reason" name="reason" maxlength="500" />
                            </Field>
                            <div class="row">
                                <button class="button" type="submit" name="steering" value="pause">"Pause rollout"</button>
                                <span class="hint">"What is under way goes on."</span>
                            </div>
                        </div>
                    </ActionForm>
                })}
                {is_paused.then(|| view! {
                    <ActionForm action=steer>
                        <div class="form">
                            <input type="hidden" name="id" value=to_resume />
                            <Field id="resume-reason" label="Reason to resume">
                                <input id="resume-reason" name="reason" maxlength="500" />
                            </Field>
                            <div class="row">
                                <button class="button" data-kind="primary" type="submit" name="steering" value="resume">"Resume rollout"</button>
                                <span class="hint">"Failures known by now no longer stop it."</span>
                            </div>
                        </div>
                    </ActionForm>
                })}
                <details>
                    <summary>"Abort this rollout"</summary>
                    <ActionForm action=steer>
                        <div class="form">
                            <p class="hint">"It stops for good; what wasn't applied yet is taken back."</p>
                            <input type="hidden" name="id" value=id />
                            <Field id="abort-reason" label="Reason to abort">
                                <input id="abort-reason" name="reason" required maxlength="500" />
                            </Field>
                            <div class="row">
                                <button class="button" data-kind="danger" type="submit" name="steering" value="abort">"Abort rollout"</button>
                            </div>
                        </div>
                    </ActionForm>
                </details>
            </div>
        </section>
    })
}
