# Other projects use cairn in each way that it offers: installed, by pkg-config, from the Debian package, and
# as sources.
set(consumer_source ${CMAKE_CURRENT_LIST_DIR})
set(consumer ${CMAKE_CURRENT_BINARY_DIR}/consumer)
# Without a build type, the compiler does not optimise, which saves time.
set(consumer_settings -G Ninja -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER})
if(CAIRN_SANITIZE)
  set(consumer_flags -fsanitize=${CAIRN_SANITIZE})
  list(APPEND consumer_settings -DCMAKE_CXX_FLAGS=${consumer_flags})
endif()

# consumer_step(NAME [AFTER STEP] COMMAND ...) adds the test consumer.NAME, which runs after another step.
function(consumer_step name)
  cmake_parse_arguments(PARSE_ARGV 1 step "" "AFTER" "COMMAND")
  add_test(NAME consumer.${name} COMMAND ${step_COMMAND})
  set_tests_properties(consumer.${name} PROPERTIES LABELS consumer TIMEOUT 600)
  if(step_AFTER)
    set_tests_properties(consumer.${name} PROPERTIES DEPENDS consumer.${step_AFTER})
  endif()
endfunction()

# Installed.
consumer_step(install COMMAND ${CMAKE_COMMAND} --install ${CMAKE_BINARY_DIR} --prefix ${consumer}/installed)
# The project checks that find_package() does not set the variables that -U removes.
consumer_step(configure AFTER install COMMAND ${CMAKE_COMMAND} -S ${consumer_source} -B ${consumer}/build
              -U RocksDB_DIR -U OPENSSL_INCLUDE_DIR -U doctest_DIR
              -DCMAKE_PREFIX_PATH=${consumer}/installed -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE}
              ${consumer_settings})
consumer_step(build AFTER configure COMMAND ${CMAKE_COMMAND} --build ${consumer}/build)
consumer_step(run AFTER build COMMAND ${consumer}/build/consumer)
consumer_step(box_test AFTER build COMMAND ${consumer}/build/box_test)
consumer_step(store_test AFTER build COMMAND ${consumer}/build/store_test)
consumer_step(server AFTER build COMMAND sh -ec "
  rm -rf ${consumer}/server-data
  ${consumer}/build/server ${consumer}/server-data")
# The command that links the program, and the libraries that the program loads.
consumer_step(links_no_store AFTER build
              COMMAND sh -ec "${CMAKE_COMMAND} --build ${consumer}/build -- -t commands consumer
                              ldd ${consumer}/build/consumer")
set_tests_properties(consumer.links_no_store PROPERTIES
                     FAIL_REGULAR_EXPRESSION "rocksdb;libcrypto;libssl;libcairn_(log|store)")

# Every symbol of the libraries is in the inline namespace of the ABI.
consumer_step(abi AFTER install COMMAND sh -ec "
  cd ${consumer}/installed/${CMAKE_INSTALL_LIBDIR}
  ${CMAKE_NM} --defined-only --extern-only libcairn_*.a | grep 5cairn > ${consumer}/symbols
  grep -q 5cairn2v1 ${consumer}/symbols
  ! grep -v 5cairn2v1 ${consumer}/symbols")

# By pkg-config, without CMake.
find_program(CAIRN_PKG_CONFIG pkg-config)
if(CAIRN_PKG_CONFIG)
  set(pkg_config_path ${consumer}/installed/${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  set(pkg_config "PKG_CONFIG_PATH=${pkg_config_path} ${CAIRN_PKG_CONFIG}")
  set(compile "${CMAKE_CXX_COMPILER} -std=c++20 ${consumer_flags}")
  consumer_step(pkg_config AFTER install COMMAND sh -ec "
    ${compile} -DPACKAGE_VERSION=\"\\\"$(${pkg_config} --modversion cairn)\\\"\" ${consumer_source}/main.cpp \
      -o ${consumer}/by_pkg_config $(${pkg_config} --cflags --libs --static cairn)
    ${consumer}/by_pkg_config")
  consumer_step(pkg_config_all AFTER install COMMAND sh -ec "
    ${compile} ${consumer_source}/all_libraries.cpp -o ${consumer}/all_by_pkg_config \
      $(${pkg_config} --cflags --libs --static cairn-testkit cairn-maintenance)
    ${consumer}/all_by_pkg_config ${consumer}/store_by_pkg_config")
endif()

# From the Debian package.
find_program(CAIRN_DPKG_DEB dpkg-deb)
if(CAIRN_DPKG_DEB)
  consumer_step(debian_package COMMAND sh -ec "
    rm -rf ${consumer}/debian
    ${CMAKE_CPACK_COMMAND} -G DEB --config ${CMAKE_BINARY_DIR}/CPackConfig.cmake -B ${consumer}/debian
    ${CAIRN_DPKG_DEB} -x ${consumer}/debian/libcairn-dev_${PROJECT_VERSION}_*.deb ${consumer}/debian/unpacked
    test -f ${consumer}/debian/unpacked/usr/share/doc/libcairn-dev/copyright
    ${CAIRN_DPKG_DEB} --field ${consumer}/debian/libcairn-dev_${PROJECT_VERSION}_*.deb")
  set_tests_properties(consumer.debian_package PROPERTIES
                       PASS_REGULAR_EXPRESSION "Depends: libcaf-dev.*librocksdb-dev")
  consumer_step(debian_build AFTER debian_package COMMAND sh -ec "
    ${CMAKE_COMMAND} -S ${consumer_source}/debian -B ${consumer}/debian/build \
      -DCMAKE_PREFIX_PATH=${consumer}/debian/unpacked/usr $<JOIN:${consumer_settings}, >
    ${CMAKE_COMMAND} --build ${consumer}/debian/build
    ${consumer}/debian/build/consumer")
endif()

# As sources: a build of the libraries alone, and a project that embeds them.
consumer_step(library_only COMMAND ${CMAKE_COMMAND} -S ${PROJECT_SOURCE_DIR} -B ${consumer}/library_only
              ${consumer_settings} -DBUILD_TESTING=OFF -DCAIRN_BENCHMARKS=OFF
              -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON -DCMAKE_DISABLE_FIND_PACKAGE_CLI11=ON
              -DCMAKE_DISABLE_FIND_PACKAGE_doctest=ON -DCMAKE_DISABLE_FIND_PACKAGE_rapidcheck=ON)
consumer_step(without_rocksdb COMMAND ${CMAKE_COMMAND} -S ${PROJECT_SOURCE_DIR} -B ${consumer}/without_rocksdb
              ${consumer_settings} -DBUILD_TESTING=OFF -DCAIRN_BENCHMARKS=OFF -DCMAKE_DISABLE_FIND_PACKAGE_RocksDB=ON)
set_tests_properties(consumer.without_rocksdb PROPERTIES
                     PASS_REGULAR_EXPRESSION "left out: they need RocksDB.*Generating done")
set(embed ${CMAKE_COMMAND} -S ${consumer_source}/embedded -B ${consumer}/embedded ${consumer_settings}
          -DCAIRN_SOURCE=${PROJECT_SOURCE_DIR} -DCAIRN_VERSION=${PROJECT_VERSION})
# With the Boost of Debian 13, which Debian 12 does not have, if it can be had.
set(boost ${consumer}/boost)
if(NOT EXISTS ${boost}/usr/include/boost/version.hpp AND CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64)
  set(package https://deb.debian.org/debian/pool/main/b/boost1.83/libboost1.83-dev_1.83.0-4.2_amd64.deb)
  file(DOWNLOAD ${package} ${boost}/boost.deb TIMEOUT 120 STATUS downloaded)
  file(SHA256 ${boost}/boost.deb found)
  if(found STREQUAL 1f11fc6fb2ffe9378a0f0ebc8f2fd9223fb958b4a40bb9381c67a8857d947ca3)
    execute_process(COMMAND dpkg-deb -x ${boost}/boost.deb ${boost} OUTPUT_QUIET ERROR_QUIET)
  endif()
  file(REMOVE ${boost}/boost.deb)
endif()
if(EXISTS ${boost}/usr/include/boost/version.hpp)
  set(newer_boost -DBoost_NO_BOOST_CMAKE=ON -DBOOST_INCLUDEDIR=${boost}/usr/include)
  list(APPEND embed ${newer_boost})
  # An installed cairn refuses a project with another Boost: its CMake package does, and else the linker.
  consumer_step(other_boost AFTER install
                COMMAND ${CMAKE_COMMAND} -S ${consumer_source} -B ${consumer}/other_boost
                -DCMAKE_PREFIX_PATH=${consumer}/installed ${consumer_settings} ${newer_boost})
  set_tests_properties(consumer.other_boost PROPERTIES PASS_REGULAR_EXPRESSION "This cairn was built with[ \n]+Boost")
  if(CAIRN_PKG_CONFIG)
    consumer_step(other_boost_links AFTER install COMMAND sh -c "
      ${compile} -isystem ${boost}/usr/include -DPACKAGE_VERSION=\"\\\"\\\"\" \
        ${consumer_source}/main.cpp -o ${consumer}/with_other_boost \
        $(${pkg_config} --cflags --libs --static cairn)")
    set_tests_properties(consumer.other_boost_links PROPERTIES
                         PASS_REGULAR_EXPRESSION "undefined reference to .*compiled_with_boost<108300>")
  endif()
else()
  message(STATUS "Boost 1.83 cannot be downloaded: the embedding project is built with the installed Boost")
endif()
if(CAIRN_CCACHE)
  # Precompiled headers would need settings of ccache that a user does not have.
  list(APPEND embed -DCMAKE_CXX_COMPILER_LAUNCHER=${CAIRN_CCACHE} -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON)
endif()
consumer_step(fetch COMMAND ${embed} -DFETCH=ON)
consumer_step(fetch_build AFTER fetch COMMAND ${CMAKE_COMMAND} --build ${consumer}/embedded --target embedded server)
consumer_step(fetch_run AFTER fetch_build COMMAND ${consumer}/embedded/embedded)
consumer_step(fetch_server AFTER fetch_build COMMAND sh -ec "
  rm -rf ${consumer}/server-data-embedded
  ${consumer}/embedded/server ${consumer}/server-data-embedded")
# In the same folder: the objects are there already.
consumer_step(subdirectory AFTER fetch_run COMMAND ${embed} -DFETCH=OFF)
consumer_step(subdirectory_build AFTER subdirectory
              COMMAND ${CMAKE_COMMAND} --build ${consumer}/embedded --target embedded)
consumer_step(subdirectory_run AFTER subdirectory_build COMMAND ${consumer}/embedded/embedded)

foreach(run run pkg_config debian_build fetch_run subdirectory_run)
  if(TEST consumer.${run})
    set_tests_properties(consumer.${run} PROPERTIES PASS_REGULAR_EXPRESSION "version 2, count 3")
  endif()
endforeach()
