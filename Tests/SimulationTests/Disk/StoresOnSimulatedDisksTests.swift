import ShoalCRDT
import ShoalClient
import ShoalServer
import ShoalSimulation
import ShoalStore
import Testing

@Suite struct StoresOnSimulatedDisksTests {
    @Test func clientAndServerWorkOnSimulatedDisks() throws {
        let world = SeededWorld(seed: 1)
        let server = try ServerMachine(SimulatedDisk(), world)
        var replicas: [Replica] = []
        for name in ["Anna", "Bert"] {
            let disk = SimulatedDisk()
            let (enrolment, key) = try server.enrolment(name)
            replicas.append(
                try Replica.create(
                    home: Replica.home(disk), server: "http://test", key: key, enrolment: enrolment,
                    environment: world.client(disk)))
        }
        for (index, replica) in replicas.enumerated() {
            for number in 0..<20 {
                let id = try replica.addCustomer(name: "customer \(index)-\(number)")
                _ = try replica.addNote(to: id, "note \(number)")
            }
        }
        for replica in replicas + replicas { try replica.sync(server) }
        #expect(try replicas[0].dumpLines == server.dump)
        #expect(try replicas[1].dumpLines == server.dump)
        #expect(try server.dump.count > 80)
        for replica in replicas { try replica.close() }
        try server.store.close()
        #expect(server.disk.snapshot().names == ["shoald.db"])
    }

    @Test func aReplicaIsThereAfterACrashAndAHomeWithoutADatabaseIsNotEnrolled() throws {
        let world = SeededWorld(seed: 2)
        let server = try ServerMachine(SimulatedDisk(), world)
        let disk = SimulatedDisk()
        #expect(throws: ReplicaError.notEnrolled(home: Replica.home(disk))) {
            try Replica(home: Replica.home(disk), environment: world.client(disk))
        }
        let (enrolment, key) = try server.enrolment("Anna")
        let replica = try Replica.create(
            home: Replica.home(disk), server: "http://test", key: key, enrolment: enrolment,
            environment: world.client(disk))
        let id = try replica.addCustomer(name: "before")
        disk.crash(.power(seed: 7))
        let error = #expect(throws: StoreError.self) { try replica.addCustomer(name: "too late") }
        if case .inputOutput? = error {} else { Issue.record("\(String(describing: error))") }
        let again = try Replica(home: Replica.home(disk), environment: world.client(disk))
        #expect(try again.customers().map(\.id) == [id])
        #expect(try again.sync(server).pushed == 1)
        #expect(throws: ReplicaError.self) {
            try Replica(home: "/tmp/elsewhere", environment: world.client(disk))
        }
    }

    @Test func oneSyncAtATimeOnAHome() throws {
        let disk = SimulatedDisk()
        let homes = SimulatedHomes(disk)
        let first = try homes.lock(Replica.home(disk), name: "sync.lock")
        let second = try homes.lock(Replica.home(disk), name: "sync.lock")
        #expect(first.tryAcquire() && !second.tryAcquire())
        first.release()
        #expect(second.tryAcquire())
        disk.crash(.processes)
        let third = try homes.lock(Replica.home(disk), name: "sync.lock")
        #expect(third.tryAcquire())
        second.release()
        #expect(!(try homes.lock(Replica.home(disk), name: "sync.lock").tryAcquire()))
    }
}
