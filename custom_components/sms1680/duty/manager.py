"""The alarms of one account: they are stored, then their step is reported and sent.

A step changes the alarm at once, and its texts wait in the outbox of the alarm until they are sent. So a restart at any
moment finds either the state before the step, or the state after it with the texts that may not have been sent.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigEntryState, ConfigSubentry
from homeassistant.core import CALLBACK_TYPE, Context, HassJob, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.helpers.event import async_track_point_in_utc_time, async_track_time_interval
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.ulid import ulid_now

from ..const import CONF_NUMBER, DOMAIN, signal_duty
from ..deferred.clock import monotonic
from ..errors import validation_error
from ..events.causes import cause_of
from ..recipients import groups
from .engine import AlarmState, DutyAlarm, LoggedStep
from .engine.escalation import acknowledge, resolve, shift_times
from .groups import escalation_plan, member_names
from .report import async_fire_step
from .rota import DutyRota
from .sending import AlarmSender
from .storage import AlarmStorage

_LOGGER = logging.getLogger(__name__)

# By the entry of their account.
_MANAGERS: HassKey["dict[str, AlarmManager]"] = HassKey(f"{DOMAIN}_alarms")
_MAX_OPEN: Final = 200  # alarms of one account
_MAX_NUMBER: Final = 99
_STOP_TIMEOUT: Final = 10.0  # seconds
_CHECK_INTERVAL: Final = timedelta(seconds=30)
_PRUNE_INTERVAL: Final = timedelta(hours=1)
_TOLERANCE: Final = 60.0  # seconds by which a running clock may be corrected


class AlarmManager:
    """The alarms and the duty rotas of one account.

    alarms: open ones and the latest closed ones, oldest first. rotas: by the subentry of their group.
    """

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
        self.alarms: list[DutyAlarm] = []
        self.rotas: dict[str, DutyRota] = {}
        self.hass = hass
        self.entry = entry
        self._storage = AlarmStorage(hass, entry)
        self._sender = AlarmSender(hass, entry, self._on_sent)
        self._saving = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsubscribe: list[CALLBACK_TYPE] = []
        self._timer: CALLBACK_TYPE | None = None
        self._time_job = HassJob(self._on_time, f"{DOMAIN} alarms", cancel_on_shutdown=True)
        self._next_number = 0
        self._offset = _clock_offset()
        self._stopped = False
        self._ended = False

    # --- start and stop ---

    async def async_load(self) -> None:
        """Load the alarms of earlier runs, and reserve their extensions."""
        saved_at, now = await self.async_read(), _now()
        if saved_at - now > _TOLERANCE:
            self._shift(now - saved_at)  # the clock was ahead then, or is behind now
        for alarm in self.alarms:
            self._sender.hold(alarm)
        self._next_number = max((alarm.number for alarm in self.alarms[-1:]), default=0)
        self._conversation.questions.reserved.update(
            alarm.extension for alarm in self.open_alarms() if alarm.extension is not None
        )

    async def async_read(self) -> float:
        """Read the stored alarms, and return when they were saved."""
        self.alarms, saved_at = await self._storage.async_load()
        return saved_at

    @callback
    def async_start(self) -> None:
        """Follow the rotas, send what may not have been sent, and go on with the alarms."""
        for action, interval in ((self._check_clock, _CHECK_INTERVAL), (self._async_prune, _PRUNE_INTERVAL)):
            self._unsubscribe.append(async_track_time_interval(self.hass, action, interval, cancel_on_shutdown=True))
        self.async_update_groups()
        for alarm in self.alarms:
            if alarm.outbox:
                self._track(self._sender.async_resume(alarm))
        self._set_timer()

    async def async_stop(self) -> None:
        """Start nothing more, and wait for what is being sent."""
        self._stopped = True
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = []
        self._set_timer()
        for rota in self.rotas.values():
            rota.async_stop()
        self.rotas = {}
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_TIMEOUT)
        self._ended = True

    @callback
    def async_update_groups(self) -> None:
        """Follow new and changed groups, and close the alarms of removed ones."""
        current = {group.subentry_id: group for group in groups(self.entry)}
        for group_id in list(self.rotas):
            if group_id not in current or self.rotas[group_id].group != current[group_id]:
                self.rotas.pop(group_id).async_stop()
        for group_id, group in current.items():
            if group_id not in self.rotas:
                rota = DutyRota(self.hass, self.entry, group, partial(self._on_duty, group_id))
                self.rotas[group_id] = rota
                rota.async_start()
            else:
                self.rotas[group_id].update()  # a member may have another name
        for alarm in self.open_alarms():
            if alarm.group not in current:
                self._commit(alarm, resolve(alarm, self._time()))

    # --- what the actions and entities use ---

    def open_alarms(self, group_id: str | None = None) -> list[DutyAlarm]:
        """Return the open alarms, of a group or of all, oldest first."""
        return [alarm for alarm in self.alarms if alarm.is_open and group_id in (None, alarm.group)]

    async def async_raise(
        self, group: ConfigSubentry, text: str, key: str | None, context: Context | None, *, automatic: bool
    ) -> DutyAlarm:
        """Raise an alarm, or add to the open one with this key; return it as soon as it is stored.

        Raises ServiceValidationError if the group has no members, if the text cannot be sent, or if too many alarms are
        open.
        """
        names = member_names(self.entry, group)
        if not names:
            raise validation_error("group_without_members", group=group.title)
        self._sender.check(text, names)
        if group.subentry_id not in self.rotas:
            self.async_update_groups()
        rota = self.rotas[group.subentry_id]
        await rota.async_refresh()
        if self._stopped:  # the account was reloaded meanwhile
            if (manager := alarm_manager(self.hass, self.entry)) is self:
                raise validation_error("account_not_loaded", account=self.entry.title)
            return await manager.async_raise(group, text, key, context, automatic=automatic)
        plan, now = escalation_plan(self.entry, group), self._time()
        known = self.open_alarms(group.subentry_id) if key is not None else []
        alarm = next((one for one in known if one.key == key), None)
        if alarm is not None:
            step = plan.add(alarm, now, text, rota.on_duty)
        else:
            self._make_room()
            alarm = DutyAlarm(ulid_now(), group.subentry_id, self._new_number(), text, now, key, automatic=automatic)
            alarm.cause = cause_of(self.hass, context)
            subentries = self.entry.subentries
            alarm.extension = self._conversation.questions.take_extension(
                subentries[member].data[CONF_NUMBER] for member in names
            )
            self.alarms.append(alarm)
            step = plan.begin(alarm, now, rota.on_duty)
        await self._commit(alarm, step, context)
        return alarm

    async def async_acknowledge(self, alarms: Iterable[DutyAlarm], by: str | None, context: Context | None) -> None:
        """Acknowledge alarms."""
        for alarm in list(alarms):
            await self._commit(alarm, acknowledge(alarm, self._time(), by), context)

    async def async_resolve(self, alarms: Iterable[DutyAlarm], by: str | None, context: Context | None) -> None:
        """Close alarms."""
        for alarm in list(alarms):
            await self._commit(alarm, resolve(alarm, self._time(), by), context)

    async def async_purge(self, until: datetime | None) -> int:
        """Delete closed alarms, all or those that were raised before a time; return their number."""
        old = {alarm.id for alarm in self.alarms if alarm.is_over and _is_before(alarm, until)}
        if old:
            self.alarms = [alarm for alarm in self.alarms if alarm.id not in old]
            await self._async_save()
        return len(old)

    async def async_ask_which(self, member: str, alarms: list[DutyAlarm]) -> None:
        """Ask a member which of several alarms a reply was about."""
        await self._sender.async_ask_which(member, alarms)

    @callback
    def apply(self, alarm: DutyAlarm, change: Callable[[float], LoggedStep | None]) -> asyncio.Future[None]:
        """Change an alarm, which is given the time; the result is done as soon as the alarm is stored."""
        return self._commit(alarm, change(self._time()))

    # --- time ---

    @callback
    def _on_time(self, _: datetime) -> None:
        self._timer = None
        self._track(self._async_advance())

    async def _async_advance(self) -> None:
        """Act on the alarms that are due, with a fresh look at who is on duty."""
        self._check_clock()
        due = [alarm for alarm in self.open_alarms() if alarm.due is not None and alarm.due <= _now()]
        rotas = {alarm.group: self.rotas[alarm.group] for alarm in due if alarm.group in self.rotas}
        await asyncio.gather(*(rota.async_refresh() for rota in rotas.values()))
        for alarm in due:
            if (rota := self.rotas.get(alarm.group)) is not None:
                step = escalation_plan(self.entry, rota.group).advance(alarm, _now(), rota.on_duty)
                self._commit(alarm, step)
        self._set_timer()

    @callback
    def _on_duty(self, group_id: str) -> None:
        """Text those who have come on duty about the open alarms."""
        async_dispatcher_send(self.hass, signal_duty(self.entry.entry_id), group_id)
        if (rota := self.rotas.get(group_id)) is None:
            return
        plan = escalation_plan(self.entry, rota.group)
        for alarm in self.open_alarms(group_id):
            if (step := plan.hand_over(alarm, self._time(), rota.on_duty)) is not None:
                self._commit(alarm, step)

    @callback
    def _check_clock(self, _: datetime | None = None) -> None:
        """Move the times of the alarms if the clock was set: an alarm is texted for as long as it was meant to be."""
        offset = _clock_offset()
        jump = offset - self._offset
        if abs(jump) < _TOLERANCE:
            return
        self._offset = offset
        _LOGGER.warning("The clock was set by %d seconds; open alarms are adjusted to it", jump)
        self._shift(jump)
        self._set_timer()

    def _time(self) -> float:
        """Return the time. If the clock was just set, the alarms are moved first: those of now are not moved again."""
        self._check_clock()
        return _now()

    def _shift(self, seconds: float) -> None:
        for alarm in self.open_alarms():
            shift_times(alarm, seconds)

    @callback
    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer()
            self._timer = None
        times = [alarm.due for alarm in self.open_alarms() if alarm.due is not None]
        if times and not self._stopped:
            when = dt_util.utc_from_timestamp(min(times))
            self._timer = async_track_point_in_utc_time(self.hass, self._time_job, when)

    # --- steps ---

    @callback
    def _commit(
        self, alarm: DutyAlarm, step: LoggedStep | None, context: Context | None = None
    ) -> asyncio.Future[None]:
        """Store the alarms, then report the step and send its texts; the result is done as soon as they are stored."""
        stored: asyncio.Future[None] = self.hass.loop.create_future()
        if not alarm.is_open and alarm.extension is not None:
            self._conversation.questions.reserved.discard(alarm.extension)
        self._set_timer()
        self._track(self._async_commit(alarm, step, context, stored))
        return stored

    async def _async_commit(
        self, alarm: DutyAlarm, step: LoggedStep | None, context: Context | None, stored: asyncio.Future[None]
    ) -> None:
        try:
            await self._async_save()
        finally:
            if not stored.done():
                stored.set_result(None)
        if self._ended:
            return  # the next manager sends the texts
        if step is not None:
            async_fire_step(self.hass, self.entry, alarm, step, context)
        await self._sender.async_send(alarm)

    async def _async_save(self) -> None:
        async with self._saving:
            if self._ended:
                return  # the next manager has read the alarms, and stores them
            self.alarms = self._storage.pruned(self.alarms, _now())
            await self._storage.async_save(self.alarms)

    async def _async_prune(self, _: datetime) -> None:
        """Apply the retention also while nothing happens."""
        if self._storage.pruned(self.alarms, _now()) != self.alarms:
            await self._async_save()

    async def _on_sent(self, alarm: DutyAlarm, *, reached: bool) -> None:
        """Store that texts were sent; go on at once if none of them could be."""
        if not reached and (rota := self.rotas.get(alarm.group)) is not None:
            escalation_plan(self.entry, rota.group).not_reached(alarm, self._time())
        await self._async_save()
        self._set_timer()

    def _track(self, running: Coroutine[Any, Any, None]) -> None:
        task = self.hass.async_create_task(running, f"{DOMAIN} alarm", eager_start=True)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _make_room(self) -> None:
        """Close the oldest alarm that texts nobody if too many are open.

        Raises ServiceValidationError if all of them do.
        """
        opened = self.open_alarms()
        if len(opened) < _MAX_OPEN:
            return
        quiet = next((one for one in opened if one.state in (AlarmState.UNANSWERED, AlarmState.ACKNOWLEDGED)), None)
        if quiet is None:
            raise validation_error("too_many_alarms", count=str(_MAX_OPEN))
        self._commit(quiet, resolve(quiet, self._time()))

    def _new_number(self) -> int:
        """Return a number that no open alarm has; each is used again as late as possible."""
        used = {alarm.number for alarm in self.open_alarms()}
        for _ in range(_MAX_OPEN + _MAX_NUMBER):
            self._next_number = self._next_number % max(_MAX_NUMBER, len(used) + 1) + 1
            if self._next_number not in used:
                break
        return self._next_number

    @property
    def _conversation(self) -> Any:  # noqa: ANN401 - the runtime data of an entry of any type
        return self.entry.runtime_data.conversation


def _is_before(alarm: DutyAlarm, until: datetime | None) -> bool:
    return until is None or alarm.raised_at < until.timestamp()


def _now() -> float:
    return dt_util.utcnow().timestamp()


def _clock_offset() -> float:
    return _now() - monotonic()


@callback
def alarm_manager(hass: HomeAssistant, entry: ConfigEntry[Any]) -> AlarmManager:
    """Return the alarms of an account that is set up."""
    return hass.data[_MANAGERS][entry.entry_id]


@callback
def async_set_alarm_manager(hass: HomeAssistant, manager: AlarmManager) -> None:
    """Make the alarms of an account known."""
    hass.data.setdefault(_MANAGERS, {})[manager.entry.entry_id] = manager


async def async_purge_alarms(hass: HomeAssistant, entry: ConfigEntry[Any], until: datetime | None) -> int:
    """Delete the closed alarms of an account, whether it is set up or not; return their number. See `async_purge`."""
    manager = hass.data.get(_MANAGERS, {}).get(entry.entry_id)
    if manager is None or entry.state is not ConfigEntryState.LOADED:
        manager = AlarmManager(hass, entry)
        await manager.async_read()
    return await manager.async_purge(until)
