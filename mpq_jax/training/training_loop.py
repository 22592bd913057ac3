"""The thin loop: collect an episode on the real system, learn, validate, log, checkpoint."""

import contextlib
from typing import Any

import jax
import numpy as np

from mpq_jax.base.interrupts import Abandoned, Stopped, StopRequest
from mpq_jax.base.progress import Reporter, per_second
from mpq_jax.base.validation import RunError
from mpq_jax.config import Batch
from mpq_jax.config.run_length import counted, share_done, validations_after
from mpq_jax.environments.episode import Summary
from mpq_jax.figures import plots
from mpq_jax.learning import replay_buffer
from mpq_jax.learning.algorithm import MemberState, Metrics
from mpq_jax.learning.replay_buffer import Transition
from mpq_jax.runs.checkpoint import Checkpoint, Checkpointer, latest_episode
from mpq_jax.runs.metrics import MetricsWriter
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.runs.save_schedule import SaveSchedule
from mpq_jax.training import divergence
from mpq_jax.training.episode_rows import COUNTERS, episode_rows, shown_figures
from mpq_jax.training.programs import Programs
from mpq_jax.training.stopwatch import Stopwatch


class TrainingLoop:
    """The mutable side of one run."""

    def __init__(
        self,
        batch: Batch,
        programs: Programs,
        run: RunDirectory,
        reporter: Reporter,
        stop: StopRequest,
    ):
        self.batch, self.config, self.programs = batch, batch.config, programs
        self.run, self.reporter, self.stop = run, reporter, stop
        self.task = programs.real.task
        self.total, _ = counted(self.config)
        self.state: MemberState
        self.episode = 0  # episodes completed
        self.saved = 0  # of these, in a checkpoint
        self.done: Checkpoint  # after the last of them
        self.schedule = SaveSchedule(batch.config.training.checkpoint_interval)
        stop.where = self._where
        self.counters = {name: np.zeros(len(batch.members), np.int64) for name in COUNTERS}
        self.diverged = ''  # what to say of it, in this episode
        self.idle = divergence.IdleMembers(reporter.say)
        self.warnings = divergence.PhysicsWarnings(reporter.say)
        self.recording: Transition | None = None  # one episode, for the figure
        self.last_steps = 0  # of the first member's last training episode
        self.stopwatch = Stopwatch(programs)
        self.steps_before, self.share_before = 0, 0.0  # model steps of earlier sessions; how far

    def run_to_end(self, resume: bool) -> None:
        checkpointer = Checkpointer(self.run.checkpoints, self.config.training.checkpoints_to_keep)
        try:
            if not (resume and self._restore(checkpointer)):
                self.state = self.programs.initial_state()
            self._note_done()
            files = self.run.metrics_file, self.run.events
            writer = MetricsWriter(*files, self.episode, self.reporter.say)
            try:
                with self.stopwatch.loop():
                    self._loop(writer, checkpointer)
                checkpointer.wait()
            except RunError as error:
                with contextlib.suppress(RunError):
                    checkpointer.wait()
                raise RunError(f'{error}\nstopped {self._where()}') from error
            finally:
                writer.close()
        finally:
            checkpointer.close()
        if self._share_done(self.episode) < 1.0:
            name = self.stop.signal_name
            raise Stopped(f'stopped by {name} {self._where()}', name)
        self._finish()
        self.idle.conclude(self.run)

    def _share_done(self, episodes: int) -> float:
        return share_done(self.config, episodes, self.counters['env_steps'].min())

    def _where(self) -> str:
        """How far the saved run is, and how it goes on."""
        return (
            f'after episode {latest_episode(self.run.checkpoints)} of {self.config.episodes}; '
            f'continue with {self.run.how_to_resume(self.config)}'
        )

    def _restore(self, checkpointer: Checkpointer) -> bool:
        """Whether there was something to go on from."""
        saved, problems = checkpointer.restore(self.programs.state_shapes(), self.batch)
        for problem in problems:
            self.reporter.say(problem)
        if saved is None:
            self.reporter.say(f'{self.run.path} has no checkpoint yet: starting from the beginning')
        else:
            self.state = self.programs.compiler.layout.placed(saved.state)
            self.episode = self.saved = saved.episode
            self.counters |= {name: np.array(v, np.int64) for name, v in saved.counters.items()}
        self.steps_before = self.counters['model_steps'].sum()
        self.share_before = self._share_done(self.episode)
        self.run.record_resume(self.batch, self.episode)
        self.reporter.start_at(round(self.share_before * self.total))
        return saved is not None

    def _save(self, writer: MetricsWriter, checkpointer: Checkpointer) -> None:
        """What is done, unless it is saved or was lost in a program that failed."""
        if self.done.episode == self.saved or self.done.is_gone:
            return
        writer.sync()
        self.schedule.saving()
        checkpointer.save(self.done)
        self.saved = self.done.episode

    def _loop(self, writer: MetricsWriter, checkpointer: Checkpointer) -> None:
        try:
            with contextlib.suppress(Abandoned):  # an episode driven from outside
                while self._share_done(self.episode) < 1.0 and not self.stop:
                    self._next(writer, checkpointer)
        except Exception:
            with contextlib.suppress(RunError):
                self._save(writer, checkpointer)
            raise
        self._save(writer, checkpointer)

    def _next(self, writer: MetricsWriter, checkpointer: Checkpointer) -> None:
        """A block of episodes, from its first step to its rows; of an agent that learns, one."""
        self.diverged = ''
        if validations_after(self.config, self.episode) and self.config.real_system != 'simulated':
            self._save(writer, checkpointer)  # a stop within it finds what learning took over gone
        block = self._block()
        for rows in block:
            writer.write(rows)
        self.episode += len(block)
        self._note_done()
        if self.schedule.due(self.episode - self.saved, checkpointer.save_seconds):
            self._save(writer, checkpointer)
        self._show(block)
        self.idle.look(block)
        if self.diverged:
            self.reporter.say(f'episode {self.episode - 1}: {self.diverged}')
            if hopeless := divergence.too_many_restores(self.batch, self.counters):
                raise RunError(hopeless)

    def _note_done(self) -> None:
        counters = {name: count.tolist() for name, count in self.counters.items()}
        self.done = Checkpoint(self.episode, self.state, counters, self.batch)

    def _block(self) -> list[list[dict[str, Any]]]:
        """The rows of the next episodes, with what was learned and validated after them."""
        summaries, collecting = self._collect()
        size = summaries.env_steps.shape[1]
        block = []
        for i in range(size):
            episode, summary = self.episode + i, jax.tree.map(lambda x, i=i: x[:, i], summaries)
            self._count_acting(summary, 'env_steps', self.programs.workload.per_action)
            self.last_steps = int(summary.env_steps[0])
            metrics, learning = self._learn_if_due(episode)
            validation = self._validate_if_due(episode)
            rows = episode_rows(
                self.batch.members, episode, summary, self.counters, (collecting / size, learning),
                metrics, validation, self.warnings.in_episode(episode),
                self.task.success is not None, self.programs.algorithm.acts_randomly(episode),
            )  # fmt: skip
            block.append(rows)
            if self._share_done(episode + 1) >= 1.0:
                break
        return block

    def _collect(self) -> tuple[Summary, float]:
        """Summaries `[B, E]` of the next E episodes, and the seconds they took.

        Episodes of an agent that does not learn are independent: E of them are one batch.
        """
        programs = self.programs
        if self.config.learns:
            collected = self.stopwatch.run(programs.collect, self.state, self.episode)
            (self.state, summary), seconds = collected
            return jax.tree.map(lambda x: x[:, None], jax.device_get(summary)), seconds
        numbers = self.episode + np.arange(programs.episodes_at_once(self.config.episodes))
        played = 'train', self.state, programs.parameters(self.state, 'last'), numbers
        (summaries, self.recording), seconds = self.stopwatch.run(programs.play, *played)
        return jax.device_get(summaries), seconds

    def _learn_if_due(self, episode: int) -> tuple[Metrics | None, float]:
        """What a learning round came to `[B]`, and its seconds."""
        due = (episode + 1) % self.config.learner.episodes_per_round == 0
        if not (self.config.learns and due):
            return None, 0.0
        learned = self.stopwatch.run(self.programs.learn, self.state, episode)
        (self.state, metrics), seconds = learned
        metrics = jax.device_get(metrics)
        self.counters['model_steps'] += self.programs.workload.per_round
        self.diverged = divergence.count_restores(metrics, self.counters)
        return metrics, seconds

    def _validate_if_due(self, episode: int) -> np.ndarray | None:
        """Mean return `[B]` on held-out starts; the best parameters are kept."""
        if not (count := validations_after(self.config, episode)):
            return None
        params = self.programs.parameters(self.state, 'last')
        played = 'validation', self.state, params, np.arange(count)
        (summary, self.recording), _ = self.stopwatch.run(self.programs.play, *played)
        summary = jax.device_get(summary)
        whole = jax.tree.map(lambda x: x.sum(axis=1), summary)
        self._count_acting(whole, 'validation_env_steps', self.programs.steps_per_play)
        self.state = self.programs.keep_best(self.state, summary.episode_return)
        return np.mean(summary.episode_return, axis=1)

    def _count_acting(self, summary: Summary, counter: str, per_action: int) -> None:
        """Real steps, and the physics steps of the planner's models behind each of them."""
        steps = summary.env_steps.astype(np.int64)
        self.counters[counter] += steps
        self.counters['model_steps'] += steps * per_action

    @property
    def _model_steps_per_second(self) -> float:
        return self.stopwatch.per_second(self.counters['model_steps'].sum() - self.steps_before)

    def _show(self, block: list[list[dict[str, Any]]]) -> None:
        speed = f'  {per_second(self._model_steps_per_second)} model steps' * self.config.plans
        seconds, share = self.stopwatch.seconds, self._share_done(self.episode)
        left = seconds * max(1.0 - share, 0.0) / max(share - self.share_before, 1e-9)
        done = round(share * self.total)
        self.reporter.advance(done, shown_figures(block) + speed, seconds, left)

    def _finish(self) -> None:
        """The figure of one episode, and the speeds in the manifest."""
        last = replay_buffer.latest_of_first(self.state.buffer, self.last_steps)
        if (shown := last or self.recording) is not None:
            path = self.run.path / 'episode.png'
            plots.try_episode_figure(self.task, shown, path, self.reporter.say)
        self.run.record(
            finished_episodes=self.episode,
            finished_env_steps=int(self.counters['env_steps'].min()),
            **self.programs.compiler.figures,
            **self.stopwatch.figures,
            model_steps_per_second=round(self._model_steps_per_second),
        )
        self.reporter.say(
            f'{self.reporter.label}: compiled in {self.programs.compile_seconds:.1f} s, ran '
            f'{self.stopwatch.seconds:.1f} s, {self.counters["model_steps"].sum():,} model steps '
            f'({per_second(self._model_steps_per_second)})'
        )
