import Logging
import ServiceLifecycle
import ShoalStore

/// Collects while the server runs: now and then, in steps of a few milliseconds, when no push waits.
struct Collector: Service {
    /// Milliseconds from the end of one round to the beginning of the next.
    var interval: Int64 = 60_000
    /// Milliseconds between the steps of a round, and while pushes are being committed.
    var pause: Int64 = 20
    /// After so many pauses a step is done although pushes wait: a busy server would never collect.
    var patience = 50

    let store: ServerStore
    let committer: Committer
    let metrics: Metrics
    let environment: ServerEnvironment
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown { await rounds() }
    }

    private func rounds() async {
        while !Task.isCancelled {
            do {
                try await round()
                try await environment.sleep(interval)
            } catch is CancellationError {
                return
            } catch {
                // The committer has noted what must end the process; anything else is tried again in the next round.
                logger.error("collecting failed", metadata: ["error": "\(error)"])
                do { try await environment.sleep(interval) } catch { return }
            }
        }
    }

    /// Steps until nothing is left to do.
    func round() async throws {
        var all = CollectionStep()
        repeat {
            var waits = 0
            while committer.isBusy, waits < patience {
                waits += 1
                try await environment.sleep(pause)
            }
            all.add(try committer.collect(time: environment.now()))
            if !all.isDone { try await environment.sleep(pause) }
        } while !all.isDone
        let status = try store.collectionStatus()
        metrics.note(status)
        if all.records + all.cells + all.rows > 0 { report(all, status) }
    }

    private func report(_ all: CollectionStep, _ status: CollectionStatus) {
        var metadata: Logger.Metadata = [
            "records": "\(all.records)", "cells": "\(all.cells)", "rows": "\(all.rows)", "swept": "\(all.swept)",
            "collected": "\(status.collected)", "lag": "\(status.sequence - status.watermark)",
            "live": "\(status.live)",
        ]
        if let holder = status.holder {
            metadata["holder"] = "\(holder)"
            metadata["silentDays"] = "\(status.silence / 86_400_000)"
        }
        logger.info("collected", metadata: metadata)
    }
}
