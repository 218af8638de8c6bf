use obscura_model::ids::UnixMillis;

use super::*;
use crate::ca::CERTIFICATE_VALIDITY;
use crate::clock;
use crate::testing::{World, name};

fn refusal(credentials: Credentials, nodes: Vec<Node>) -> BuildError {
    build(Parts {
        credentials,
        nodes,
        clock: clock::system(),
    })
    .map(|_| ())
    .unwrap_err()
}

#[test]
fn a_gateway_needs_a_certificate_for_its_role_that_is_in_date() {
    let world = World::new();
    let as_owner = refusal(world.credentials(Role::Owner, "anna"), Vec::new());
    assert!(
        matches!(as_owner, BuildError::Role(Role::Owner)),
        "{as_owner:?}"
    );
    let age = u64::try_from(CERTIFICATE_VALIDITY.as_millis()).unwrap();
    let long_ago = UnixMillis(clock::now().0 - age - 2000);
    let old = refusal(
        world.credentials_at(Role::Gateway, "hub", long_ago),
        Vec::new(),
    );
    assert!(matches!(old, BuildError::Chain(_)), "{old:?}");
}

#[test]
fn a_list_of_nodes_with_a_mistake_in_it_is_refused() {
    let world = World::new();
    let address = "127.0.0.1:7400".parse().unwrap();
    let good = world.node("basel", address);
    let wrong = |nodes| match refusal(world.credentials(Role::Gateway, "hub"), nodes) {
        BuildError::Directory(error) => error,
        other => panic!("{other:?}"),
    };
    let twice = wrong(vec![good.clone(), good.clone()]);
    assert!(matches!(twice, InvalidDirectory::Twice { .. }));
    let somebody_else = Node {
        name: name("bern"),
        ..good.clone()
    };
    assert!(matches!(
        wrong(vec![somebody_else]),
        InvalidDirectory::Name { .. }
    ));
    let broken = Node {
        certificate: vec![1],
        ..good.clone()
    };
    assert!(matches!(
        wrong(vec![broken]),
        InvalidDirectory::Certificate { .. }
    ));
    for address in ["", "basel", ":7400", "basel:", "basel:0", "basel:70000"] {
        let lost = Node {
            address: address.to_owned(),
            ..good.clone()
        };
        assert!(
            matches!(wrong(vec![lost]), InvalidDirectory::Address { .. }),
            "{address}"
        );
    }
}
