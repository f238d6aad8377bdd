# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The image of one container of a component, and nothing else of it."""

from __future__ import annotations

import re

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.object import TemplateRemedy, Wish, copied
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.act.versions import last_healthy
from ansible_collections.aiops.runbook.plugins.module_utils.act.workload import Target, differences
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

# What a container runtime takes for the name of an image.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(?::\d+)?"
NAME = re.compile(r"(?:%s/)?%s(?:/%s)*(?::[\w][\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,})?" % (_HOST, _PART, _PART))


class ImageSet(TemplateRemedy):
    """Gives a container another image: a named one, or the one that it had in the last version that was healthy. params: container, image."""

    name = "image_set"

    def wish(self, stage: Stage, step: Step, target: Target) -> Wish:
        made = copied(target.object)
        container = target.container(str(step.params.get("container") or ""), made["spec"]["template"])
        image = str(step.params.get("image") or "")
        if image and not NAME.fullmatch(image):
            raise Refused("%s is no name of an image" % image, kind="bad_option")
        container["image"] = image or earlier_image(stage, step, target, container["name"], container["image"])
        return Wish(made, stage.restart_risk(step.component), touches=[step.component], texts={"container": container["name"], "image": container["image"]})


def earlier_image(stage: Stage, step: Step, target: Target, container: str, present: str) -> str:
    """The image of this container in the last version that was healthy; Refused where it has had the present one then, too."""
    revision = last_healthy(stage, step, target)
    try:
        image = str(target.container(container, revision.template)["image"])
    except StackError:
        raise Refused("revision %d of %s has no container %s" % (revision.number, target, container), fix="give the image") from None
    if image == present and differences(revision.template, target.template):
        raise Refused("container %s of %s has had this image before: going back would change nothing" % (container, target), fix="give the image")
    return image
