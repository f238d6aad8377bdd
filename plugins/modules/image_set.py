#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Give a container another image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_set
short_description: Give a container of a stack on Kubernetes another image
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Changes the image of one container of a component's Deployment or StatefulSet, and nothing else, and waits until the new pods serve.
  - Without O(image) it is the one that the container had in the last version that was healthy. Where more than the image came with the present
    version, M(aiops.runbook.stack_rollback) goes back to something that has run before, and this does not.
  - Whether an image can be pulled is known when it was. Where it cannot, the change is taken back.
  - It refuses where Argo CD, Flux, KEDA or an operator looks after the object and would take the change back. What to change there is named.
  - Only on Kubernetes (O(stack_platform=kubernetes)).
options:
  container:
    description:
      - The container, one that runs before the others included. The component's own when it is not given.
    type: str
  image:
    description:
      - The image, V(registry.example/shop/api:2.4.1) for example.
    type: str
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.acting.component
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.stack_rollback
  - module: aiops.runbook.image_pull_secret
"""

EXAMPLES = r"""
- name: Deploy another tag
  aiops.runbook.image_set:
    stack_platform: kubernetes
    namespace: [shop]
    component: api
    image: registry.example/shop/api:2.4.1

- name: Take back a tag that does not exist
  aiops.runbook.image_set:
    stack_platform: kubernetes
    namespace: [shop]
    component: api
"""

RETURN = r"""
risk:
  description: What the change means for who uses the stack, V(disruptive), or V(transient) for a worker, whose tasks in hand end.
  returned: success
  type: str
  sample: disruptive
image:
  description: The image that the container has been given, or has already.
  returned: success
  type: str
  sample: registry.example/shop/api:2.4.1
touches:
  description: The components that were interrupted or changed.
  returned: success
  type: list
  elements: str
lasting:
  description: Lines for your own manifests, where the change would be lost by the next deploy.
  returned: success
  type: list
  elements: str
record:
  description: What was done, with its result and where its journal is.
  returned: when something was to be changed, and not in check mode
  type: dict
"""

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.module import COMPONENT, run_module


def step_of(params: dict) -> Step:
    return Step("image_set", params["component"], {key: params[key] for key in ("container", "image") if params[key]})


def main() -> None:
    run_module({**COMPONENT, "container": {"type": "str"}, "image": {"type": "str"}}, step_of, told=("image",))


if __name__ == "__main__":
    main()
