import ShoalClient

/// The way to the server for one command.
enum Network {
    /// Runs `body` with a transport and closes it afterwards.
    ///
    /// - Parameter trust: what the server is trusted by.
    static func use(_ trust: ServerTrust, _ body: (HTTPTransport) async throws -> Void) async throws {
        let transport = try HTTPTransport(trust: trust)
        do { try await body(transport) } catch {
            do { try await transport.close() } catch {}
            throw error
        }
        try await transport.close()
    }

    /// Syncs once, showing how far it is, then moves what arrived into the text index.
    static func sync(_ replica: Replica, over transport: HTTPTransport) async throws -> SyncReport {
        let progress = Progress("waiting for the server")
        let driver = SyncDriver(replica: replica, transport: transport) { wait, error in
            progress.show("waiting \(max(1, wait.components.seconds)) s to try again: \(error)")
        }
        return try await progress.during {
            let report = try await waitingForOthers(progress) {
                try await driver.sync { state in
                    progress.show(
                        "sent \(Format.number(state.pushed)), received \(Format.number(state.pulled)) changes"
                            + " (\(Format.bytes(state.bytesUp)) up, \(Format.bytes(state.bytesDown)) down)")
                }
            }
            try index(replica, progress)
            return report
        }
    }

    /// Runs `body` as soon as no other process syncs this home, at the latest after 10 seconds.
    private static func waitingForOthers<T>(_ progress: Progress, _ body: () async throws -> T) async throws -> T {
        let deadline = System.ticks() + 10_000_000_000
        while true {
            do { return try await body() } catch let error as ReplicaError {
                guard case .syncing = error, System.ticks() < deadline else { throw error }
                progress.show(error.description)
                try await System.environment.sleep(.milliseconds(50))
            }
        }
    }

    /// Searching does not need the index, so that one who is in the way is no reason to fail.
    private static func index(_ replica: Replica, _ progress: Progress) throws {
        do {
            while case let left = try replica.drainTextIndex(), left > 0 {
                progress.show("\(Format.number(left)) records left to index")
            }
        } catch ReplicaError.busy {
            return
        }
    }
}
