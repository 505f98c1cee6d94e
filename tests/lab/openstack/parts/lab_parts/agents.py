"""Neutron without agents: nobody would ever report a port or a floating address as up."""

from __future__ import annotations

from typing import Any

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.plugins import constants as plugins
from neutron_lib.plugins import directory
from neutron_lib.plugins.ml2 import api


class InPlaceOfAgents(api.MechanismDriver):
    """Binds every port at once, and says of floating addresses what the L3 agent would."""

    def initialize(self) -> None:
        for event in (events.AFTER_CREATE, events.AFTER_UPDATE):
            registry.subscribe(self.floating, resources.FLOATING_IP, event)

    @property
    def connectivity(self) -> str:
        return str(portbindings.CONNECTIVITY_L2)

    def bind_port(self, context: Any) -> None:
        context.set_binding(
            context.segments_to_bind[0][api.ID],
            portbindings.VIF_TYPE_OVS,
            {portbindings.CAP_PORT_FILTER: True},
            status=constants.PORT_STATUS_ACTIVE,
        )

    def floating(self, _resource: str, _event: str, _trigger: Any, payload: Any) -> None:
        """ACTIVE with a port, DOWN without one."""
        associated = payload.metadata.get("association_event")
        if associated is None:
            return
        up, down = constants.FLOATINGIP_STATUS_ACTIVE, constants.FLOATINGIP_STATUS_DOWN
        directory.get_plugin(plugins.L3).update_floatingip_status(
            payload.context.elevated(), payload.resource_id, up if associated else down
        )
