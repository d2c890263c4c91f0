import ShoalClient
import ShoalProtocol
import ShoalServer
import ShoalSimulation
import ShoalStore
import Testing

/// The power is lost at every effect while a database is being made: it can be made again, or is there with what was promised.
@Suite struct CreationCrashTests {
    @Test(arguments: [false, true]) func aHomeIsMadeWholeOrCanBeMadeAgain(isEncrypted: Bool) async throws {
        let world = SeededWorld(seed: 1)
        let server = try ServerMachine(SimulatedDisk(), world)
        let (enrolment, key) = try server.enrolment("Anna")
        var stops = 0
        for stop in 1... {
            await Task.yield()
            let disk = SimulatedDisk(DiskImage(sector: stop % 2 == 0 ? 512 : 4_096))
            disk.setHook { $0.number == stop ? .halt : .proceed }
            func create() throws -> Replica {
                try Replica.create(
                    home: Replica.home(disk), server: "http://test", key: key, enrolment: enrolment,
                    environment: world.client(disk, isEncrypted: isEncrypted))
            }
            var (isEnrolled, hasWritten) = (false, false)
            do {
                let replica = try create()
                isEnrolled = true
                _ = try replica.addCustomer(name: "first")
                hasWritten = true
                try replica.close()
            } catch is StoreError {}
            guard disk.isHalted else { break }
            stops += 1
            disk.setHook(nil)
            disk.crash(.power(seed: UInt64(stop)))
            let replica: Replica
            do {
                replica = try Replica(
                    home: Replica.home(disk), environment: world.client(disk, isEncrypted: isEncrypted))
            } catch ReplicaError.notEnrolled {
                #expect(!isEnrolled, "stop \(stop)")
                replica = try create()
            }
            let names = try replica.customers().map(\.name)
            #expect(names == ["first"] || !hasWritten && names.isEmpty, "stop \(stop)")
            _ = try replica.addCustomer(name: "second")
            try replica.close()
            #expect(try Audit.replica(disk, isEncrypted: isEncrypted).complaints.isEmpty, "stop \(stop)")
        }
        #expect(stops > 50)
    }

    @Test func aServerIsMadeWholeOrCanBeMadeAgain() async throws {
        var stops = 0
        for stop in 1... {
            await Task.yield()
            let world = SeededWorld(seed: UInt64(stop))
            let disk = SimulatedDisk(DiskImage(sector: stop % 2 == 0 ? 512 : 4_096))
            disk.setHook { $0.number == stop ? .halt : .proceed }
            var epoch: UInt64?
            var code: String?
            var enrolled: (answer: EnrollResponse, key: String)?
            do {
                let server = try ServerMachine(disk, world)
                code = try server.accounts.add(name: "Anna", role: .sales).code
                epoch = server.store.epoch
                enrolled = try server.enrolment(code: code ?? "")
                try server.store.close()
            } catch is StoreError {}
            guard disk.isHalted else { break }
            stops += 1
            disk.setHook(nil)
            disk.crash(.power(seed: UInt64(stop)))
            let server = try ServerMachine(disk, world)
            if let epoch { #expect(server.store.epoch == epoch, "stop \(stop)") }
            #expect(try code == nil || server.accounts.list().map(\.name) == ["Anna"], "stop \(stop)")
            if let enrolled {
                let known = try server.accounts.credential(key: enrolled.key)
                #expect(known?.replica == enrolled.answer.replica, "stop \(stop)")
            }
            try server.store.close()
            #expect(try Audit.server(disk).complaints.isEmpty, "stop \(stop)")
        }
        #expect(stops > 50)
    }
}
