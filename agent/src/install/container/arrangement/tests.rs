use super::*;

fn version(counter: u64) -> Installed {
    Installed {
        version: format!("{counter}.0.0").as_str().into(),
        release_counter: counter,
        name: format!("sha256:{counter}"),
    }
}

/// The engine, as far as plans see it.
#[derive(Debug, Clone, Default)]
struct World {
    containers: Vec<Listed>,
    made: u64,
}

impl World {
    fn with(names: &[(&str, u64)]) -> Self {
        let mut world = Self::default();
        for (name, counter) in names {
            world.make(name, &version(*counter));
        }
        world
    }

    fn make(&mut self, name: &str, of: &Installed) {
        self.made += 1;
        let labels = [
            (COUNTER, of.release_counter.to_string()),
            (VERSION, of.version.to_string()),
            (IMAGE, of.name.clone()),
        ];
        let labels = labels.map(|(key, text)| (key.to_owned(), text));
        self.containers.push(Listed {
            id: self.made.to_string(),
            names: Some(vec![format!("/{name}")]),
            image: of.name.clone(),
            state: "exited".to_owned(),
            // What came with the device has no labels.
            labels: (of.release_counter > 0).then(|| labels.into()),
        });
    }

    fn arrangement(&self) -> Arrangement {
        Arrangement::of("app", &self.containers)
    }

    /// Carries out the first acts of a plan.
    fn carry_out(&mut self, acts: Vec<Act>, most: usize, new: &Installed) {
        for act in acts.into_iter().take(most) {
            match act {
                Act::Remove(id) => self.containers.retain(|c| c.id != id),
                Act::Rename(id, to) => {
                    let to = format!("/{to}");
                    let taken = |c: &Listed| c.names.iter().flatten().any(|name| *name == to);
                    assert!(
                        !self.containers.iter().any(taken),
                        "{to} is taken: {self:?}"
                    );
                    for container in self.containers.iter_mut().filter(|c| c.id == id) {
                        container.names = Some(vec![to.clone()]);
                    }
                }
                Act::Create => {
                    assert_eq!(self.arrangement().current, None);
                    self.make("app", new);
                }
            }
        }
    }

    fn names(&self) -> Vec<String> {
        let names = self.containers.iter().map(|container| {
            let counter = Found::of(container).counter();
            let name = container.names.iter().flatten().next().unwrap();
            format!("{name}={counter}")
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// Longest plan, in acts.
const LONGEST: usize = 4;

#[test]
fn applying_and_committing_may_be_cut_anywhere() {
    let (old, new) = (version(3), version(7));
    for cut in 0..=LONGEST {
        let mut world = World::with(&[
            ("app", 3),
            ("app-old-2", 2),
            ("app-older", 9),
            ("app-old-x", 9),
        ]);
        world.carry_out(world.arrangement().to_apply(&new), cut, &new);
        assert!(
            world.containers.len() >= 3,
            "something is always there: {world:?}"
        );
        world.carry_out(world.arrangement().to_apply(&new), LONGEST, &new);
        let applied = ["/app-old-3=3", "/app-old-x=9", "/app-older=9", "/app=7"];
        assert_eq!(world.names(), applied, "cut after {cut} acts");
        assert!(world.arrangement().to_apply(&new).is_empty());
        assert!(
            world
                .arrangement()
                .to_clean(&[old.clone(), new.clone()])
                .is_empty()
        );
        for _ in 0..2 {
            world.carry_out(world.arrangement().to_commit(), LONGEST, &new);
            assert_eq!(world.names(), ["/app-old-x=9", "/app-older=9", "/app=7"]);
        }
    }
}

#[test]
fn rolling_back_may_be_cut_anywhere_after_applying_was() {
    let (old, new) = (version(0), version(7));
    for applied in 0..=LONGEST {
        for cut in 0..=LONGEST {
            let mut world = World::with(&[("app", 0)]);
            let id = world.containers[0].id.clone();
            world.carry_out(world.arrangement().to_apply(&new), applied, &new);
            for most in [cut, LONGEST] {
                let acts = world.arrangement().to_roll_back(Some(&new), Some(&old));
                world.carry_out(acts, most, &new);
            }
            assert_eq!(
                world.names(),
                ["/app=0"],
                "cut after {applied} and {cut} acts"
            );
            assert_eq!(
                world.containers[0].id, id,
                "it is the same container as before"
            );
        }
    }
}

#[test]
fn rolling_back_leaves_alone_what_is_neither_old_nor_new() {
    let (old, new) = (version(3), version(7));
    type Case<'a> = (&'a [(&'a str, u64)], Option<&'a Installed>, &'a [&'a str]);
    let cases: [Case; 5] = [
        (&[("app", 5)], Some(&old), &["/app=5"]),
        (&[("app", 5)], None, &["/app=5"]),
        (&[("app", 7)], None, &[]),
        (&[("app", 7), ("app-old-0", 0)], None, &["/app=0"]),
        (
            &[("app", 3), ("app-old-2", 2)],
            Some(&old),
            &["/app-old-2=2", "/app=3"],
        ),
    ];
    for (names, old, left) in cases {
        let mut world = World::with(names);
        world.carry_out(
            world.arrangement().to_roll_back(Some(&new), old),
            LONGEST,
            &new,
        );
        assert_eq!(world.names(), left, "from {names:?}");
    }
}

#[test]
fn what_lost_its_name_gets_it_back_and_what_nothing_needs_goes() {
    let believed = version(3);
    let mut world = World::with(&[("app-old-3", 3), ("app-old-2", 2)]);
    assert!(
        world.arrangement().to_clean(&[]).is_empty(),
        "the last one stays"
    );
    world.carry_out(world.arrangement().to_mend(&believed), LONGEST, &believed);
    assert_eq!(world.names(), ["/app-old-2=2", "/app=3"]);
    assert!(world.arrangement().to_mend(&believed).is_empty());
    world.carry_out(
        world
            .arrangement()
            .to_clean(std::slice::from_ref(&believed)),
        LONGEST,
        &believed,
    );
    assert_eq!(world.names(), ["/app=3"]);
}

#[test]
fn what_came_with_the_device_is_known_by_its_image() {
    let world = World::with(&[("app", 0)]);
    let found = world.arrangement().current.unwrap();
    assert!(found.is(&version(0)) && !found.is(&version(3)));
    let installed = found.installed(Some(&"0.9.0".into()));
    assert_eq!(
        (installed.version, installed.name),
        ("0.9.0".into(), "sha256:0".to_owned())
    );
}
