// The rival of the append bench: LLVM's JITLink, given the same objects.
//
//     jitlink OBJECT COUNT [ARCHIVE BYTES]
//
// Appends OBJECT COUNT times under the names f00000000, f00000001, and so on, and
// looks each up; then links all objects of ARCHIVE. Times are this thread's CPU.

#include "llvm/Config/llvm-config.h"
#include "llvm/ExecutionEngine/JITLink/EHFrameSupport.h"
#include "llvm/ExecutionEngine/JITLink/JITLinkMemoryManager.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h"
#include "llvm/Object/Archive.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Support/TargetSelect.h"
#if LLVM_VERSION_MAJOR >= 20
#include "llvm/ExecutionEngine/Orc/AbsoluteSymbols.h"
#include "llvm/ExecutionEngine/Orc/EHFrameRegistrationPlugin.h"
#include "llvm/ExecutionEngine/Orc/TargetProcess/RegisterEHFrames.h"
#endif
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>

using namespace llvm;
using namespace llvm::orc;

static uint64_t now() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int mappings() {
  std::ifstream maps("/proc/self/maps");
  return std::count(std::istreambuf_iterator<char>(maps), {}, '\n');
}

static uint64_t resident() {
  std::ifstream statm("/proc/self/statm");
  uint64_t size, pages;
  statm >> size >> pages;
  return pages * 4096;
}

#if LLVM_VERSION_MAJOR >= 20
static std::unique_ptr<LLJIT> make() {
  ExitOnError ok;
  return ok(LLJITBuilder()
                .setObjectLinkingLayerCreator([&](ExecutionSession &es) {
                  auto layer = std::make_unique<ObjectLinkingLayer>(
                      es, ok(jitlink::InProcessMemoryManager::Create()));
                  layer->addPlugin(std::make_unique<EHFrameRegistrationPlugin>(
                      ExecutorAddr::fromPtr(&llvm_orc_registerEHFrameSectionAllocAction),
                      ExecutorAddr::fromPtr(&llvm_orc_deregisterEHFrameSectionAllocAction)));
                  return Expected<std::unique_ptr<ObjectLayer>>(std::move(layer));
                })
                .create());
}

static uint64_t address(ExecutorAddr found) { return found.getValue(); }

static ExecutorSymbolDef outside(void (*function)()) {
  return {ExecutorAddr::fromPtr(function), JITSymbolFlags::Exported};
}
#else
static std::unique_ptr<LLJIT> make() {
  ExitOnError ok;
  return ok(LLJITBuilder()
                .setObjectLinkingLayerCreator([&](ExecutionSession &es, const Triple &) {
                  auto layer = std::make_unique<ObjectLinkingLayer>(
                      es, ok(jitlink::InProcessMemoryManager::Create()));
                  layer->addPlugin(std::make_unique<EHFrameRegistrationPlugin>(
                      es, std::make_unique<jitlink::InProcessEHFrameRegistrar>()));
                  return layer;
                })
                .create());
}

static uint64_t address(JITEvaluatedSymbol found) { return found.getAddress(); }

static JITEvaluatedSymbol outside(void (*function)()) {
  return {pointerToJITTargetAddress(function), JITSymbolFlags::Exported};
}
#endif

static void row(int atoms, std::vector<uint64_t> sample, double bytes) {
  std::sort(sample.begin(), sample.end());
  printf("%10d %9lu %9lu %9.1f %31.0f %9d\n", atoms, sample[sample.size() / 2],
         sample[sample.size() * 99 / 100], sample.back() / 1000.0, bytes, mappings());
}

static void append(const char *path, int count) {
  ExitOnError ok("jitlink: ");
  auto jit = make();
  auto file = MemoryBuffer::getFile(path);
  std::string object = (*file)->getBuffer().str();
  size_t at = object.find("f00000000");
  std::vector<uint64_t> sample;
  uint64_t before = resident();
  for (int i = 0; i < count; i++) {
    char name[16];
    snprintf(name, sizeof name, "f%08d", i);
    memcpy(&object[at], name, 9);
    uint64_t start = now();
    ok(jit->addObjectFile(MemoryBuffer::getMemBufferCopy(object, name)));
    if (address(ok(jit->lookup(name))) == 0)
      abort();
    sample.push_back(now() - start);
    if (i + 1 == 1000 || i + 1 == count) {
      size_t last = std::min<size_t>(sample.size(), 900);
      row(i + 1, {sample.end() - last, sample.end()}, double(resident() - before) / (i + 1));
    }
  }
}

static void bulk(const char *path, double bytes) {
  ExitOnError ok("jitlink: ");
  auto jit = make();
  auto file = MemoryBuffer::getFile(path);
  auto archive = ok(object::Archive::create((*file)->getMemBufferRef()));
  auto &library = jit->getMainJITDylib();
  library.addGenerator(ok(DynamicLibrarySearchGenerator::GetForCurrentProcess('\0')));
#if LLVM_VERSION_MAJOR < 20
  // The C library has it in its static part only; newer JITs define it themselves.
  ok(library.define(
      absoluteSymbols({{jit->mangleAndIntern("atexit"), outside((void (*)())&atexit)}})));
#endif
  std::vector<std::string> names;
  Error error = Error::success();
  for (auto &child : archive->children(error)) {
    auto object = ok(object::ObjectFile::createObjectFile(ok(child.getMemoryBufferRef())));
    for (auto symbol : object->symbols()) {
      uint32_t flags = ok(symbol.getFlags());
      if ((flags & object::SymbolRef::SF_Global) && !(flags & object::SymbolRef::SF_Undefined))
        names.push_back(ok(symbol.getName()).str());
    }
  }
  ok(std::move(error));
  uint64_t start = now();
  for (auto &child : archive->children(error)) {
    auto buffer = ok(child.getMemoryBufferRef());
    ok(jit->addObjectFile(MemoryBuffer::getMemBuffer(buffer, false)));
  }
  ok(std::move(error));
  SymbolLookupSet wanted;
  for (auto &name : names)
    wanted.add(jit->mangleAndIntern(name), SymbolLookupFlags::WeaklyReferencedSymbol);
  ok(jit->getExecutionSession().lookup(makeJITDylibSearchOrder(&library), wanted));
  double time = now() - start;
  printf("libcrypto.a: %.2f ms, %.0f MB/s\n", time / 1e6, bytes * 1000 / time);
}

int main(int argc, char **argv) {
  printf("LLVM %s\n", LLVM_VERSION_STRING);
  InitializeNativeTarget();
  InitializeNativeTargetAsmPrinter();
  append(argv[1], atoi(argv[2]));
  fflush(stdout);
  if (argc > 4)
    bulk(argv[3], atof(argv[4]));
  return 0;
}
