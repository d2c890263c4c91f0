import ShoalCRDT
import ShoalProtocol

extension Replica {
    /// Enrols a home again that is enrolled already, when its server has lost it.
    ///
    /// A home stays with its server as long as that knows its key, or cannot be asked. A server at another address takes
    /// its place only while it asks for what replicas held (`shoald recover`), which it says itself by taking the home. The
    /// home stays its account's: a code for another one is refused.
    ///
    /// - Throws: `ReplicaError.alreadyEnrolled`, `.otherAccount`, `SyncError`.
    static func enrollAgain(
        home: String, server: String, code: String, device: String?, trust: ServerTrust, transport: any Transport,
        environment: Environment, options: Options
    ) async throws -> Replica {
        let replica = try Replica(home: home, environment: environment, options: options)
        let known = try replica.credential()
        let own = Endpoint(server: known.server, key: known.key, transport: transport)
        let refusal = ReplicaError.alreadyEnrolled(home: home, server: known.server)
        switch await own.knowsKey() {
        case true?: throw refusal
        case nil where server == known.server: throw refusal
        default: break
        }
        try await replica.exclusively {
            let (key, former) = try replica.reenrolling { store in
                let begun = try ReenrolmentStore.begin(
                    server: server, code: code, key: Endpoint.key(environment.random), store.database, home: home)
                // The server that the home has keeps its trust while it is asked.
                if server != known.server { try TrustStore.remember(trust, of: server, store.database) }
                return begun
            }
            let answer = try await Endpoint(server: server, key: "", transport: transport)
                .enroll(code: code, key: key, former: former, device: device)
            try replica.reenrolling {
                try ReenrolmentStore.finish(answer, server: server, key: key, $0, home: home)
                try TrustStore.remember(trust, of: server, $0.database)
            }
        }
        return replica
    }

    /// The same with an answer obtained elsewhere, by a server that does not know the home's key: for simulators.
    public func enrollAgain(
        server: String, code: String, key: String, _ ask: (EnrollRequest) throws -> EnrollResponse
    ) throws {
        let (key, former) = try reenrolling {
            try ReenrolmentStore.begin(server: server, code: code, key: key, $0.database, home: home)
        }
        let answer = try ask(
            EnrollRequest(code: code, key: key, former: former.account, name: former.name))
        try finishReenrolment(answer, server: server, key: key)
    }

    private func finishReenrolment(_ answer: EnrollResponse, server: String, key: String) throws {
        try reenrolling { try ReenrolmentStore.finish(answer, server: server, key: key, $0, home: home) }
    }
}
