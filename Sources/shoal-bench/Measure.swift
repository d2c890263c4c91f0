import Foundation

/// Prints metrics and measures time, processor and memory.
enum Measure {
    static func metric(_ name: String, _ value: Double) {
        FileHandle.standardOutput.write(Data("{\"peer\":\"shoal\",\"m\":\"\(name)\",\"v\":\(value)}\n".utf8))
    }

    /// Seconds of the monotonic clock.
    static func now() -> Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 }

    /// Seconds that this process has spent on processors.
    static func processor() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    }

    /// Runs `body` and returns how many seconds it took.
    static func seconds<T>(_ body: () throws -> T) rethrows -> (T, Double) {
        let start = now()
        let result = try body()
        return (result, now() - start)
    }

    static func median(_ values: [Double]) -> Double {
        guard !values.isEmpty else { return 0 }
        return values.sorted()[values.count / 2]
    }

    static func fileSize(_ path: String) -> Double {
        var status = stat()
        return stat(path, &status) == 0 ? Double(status.st_size) : 0
    }

    /// MiB of a line of `/proc/PROCESS/status`, such as `VmRSS` and `VmHWM`.
    static func memory(_ name: String, of process: String = "self") -> Double {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8) else { return 0 }
        for line in text.split(separator: "\n") where line.hasPrefix(name + ":") {
            return Double(line.split(separator: " ").dropFirst().first ?? "0").map { $0 / 1024 } ?? 0
        }
        return 0
    }

    /// Makes `VmHWM` count from now on.
    static func resetPeak(of process: String = "self") {
        guard let file = FileHandle(forWritingAtPath: "/proc/\(process)/clear_refs") else { return }
        file.write(Data("5".utf8))
        file.closeFile()
    }
}
