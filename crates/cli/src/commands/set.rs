//! `set image`: changes the image of a container, which begins an update.

use super::names::name;
use super::names::the_name;
use super::target::Target;
use crate::context::Context;
use crate::error::{Error, is_conflict};
use api::Rollout;
use clap::{Arg, ArgMatches, Command};
use serde_json::Value;

/// How often a write is tried when others change the object at the same time.
const TRIES: usize = 5;

pub(super) fn cli() -> Command {
    Command::new("set")
        .about("Change a rollout")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("image")
                .about("Change the image of a container")
                .arg(name("Name of the rollout"))
                .arg(
                    Arg::new("IMAGE")
                        .value_name("CONTAINER=IMAGE")
                        .help("The container (* for all of them) and its new image")
                        .required(true)
                        .num_args(1..)
                        .value_parser(parse_image),
                ),
        )
}

/// A container and its image.
fn parse_image(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((container, image)) if !container.is_empty() && !image.is_empty() => {
            Ok((container.to_owned(), image.to_owned()))
        }
        _ => Err("must be CONTAINER=IMAGE".to_owned()),
    }
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let Some(("image", args)) = args.subcommand() else {
        return Ok(());
    };
    let name = the_name(args);
    let images: Vec<_> = args
        .get_many::<(String, String)>("IMAGE")
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let rollout: Rollout = cx.read("rollout", name).await?;
    let target = Target::of(&rollout, name)?;
    for attempt in 1..=TRIES {
        let mut object = target.read(cx).await?;
        for (container, image) in &images {
            let template = object.data.pointer_mut(target.template_path());
            if !template.is_some_and(|template| set_image(template, container, image)) {
                let message = format!("unable to find container named \"{container}\"");
                return Err(Error::Refused(message));
            }
        }
        match target.write(cx, &object).await? {
            Ok(()) => break,
            Err(error) if is_conflict(&error) && attempt < TRIES => {}
            Err(error) => {
                let what = format!(
                    "change the image of {} \"{}\"",
                    target.kind(),
                    target.name()
                );
                return Err(Error::api(what)(error));
            }
        }
    }
    let (kind, name) = (target.kind(), target.name());
    cx.term
        .line(format_args!("{kind} \"{name}\" image updated"))?;
    Ok(())
}

/// Sets the image of every container of this name (`*`: of all); false if there is none.
fn set_image(template: &mut Value, name: &str, image: &str) -> bool {
    let mut found = false;
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        let containers = template.pointer_mut(&format!("/spec/{list}"));
        for container in containers
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if (name == "*" || container["name"] == name) && container.is_object() {
                container["image"] = Value::from(image);
                found = true;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template() -> Value {
        json!({"spec": {
            "containers": [{"name": "web", "image": "a"}, {"name": "side", "image": "b"}],
            "initContainers": [{"name": "init", "image": "c"}],
        }})
    }

    #[test]
    fn one_container_or_all_get_the_image() {
        let mut one = template();
        assert!(set_image(&mut one, "init", "new"));
        assert_eq!(one["spec"]["initContainers"][0]["image"], "new");
        assert_eq!(one["spec"]["containers"][0]["image"], "a");
        let mut all = template();
        assert!(set_image(&mut all, "*", "new"));
        assert_eq!(all["spec"]["containers"][1]["image"], "new");
        assert!(!set_image(&mut all, "other", "new"));
    }

    #[test]
    fn images_are_named_after_their_containers() {
        let pair = ("web".to_owned(), "reg:5000/img@sha256:1=2".to_owned());
        assert_eq!(parse_image("web=reg:5000/img@sha256:1=2"), Ok(pair));
        assert!(parse_image("web").is_err());
        assert!(parse_image("=img").is_err());
    }
}
