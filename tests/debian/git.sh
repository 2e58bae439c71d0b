# packages: git
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' HOME=$PWD
git config --global user.name name; git config --global user.email a@b; git config --global init.defaultBranch main
git init -q repo && cd repo
for i in 1 2 3 4 5; do for f in a b c; do seq $((i * 50)) > $f; done; git add . && git commit -q -m "commit $i"; done
git log --format='%h %s' --stat | cat; git checkout -q -b side HEAD~2 && echo side > d && git add d && git commit -q -m side
git checkout -q main && git merge -q -m merged side && git log --graph --oneline | cat
git fsck 2>&1; git gc -q && git count-objects -v | grep -v size; git diff HEAD~1 --stat | cat
git blame a | head -n 2; git grep -n 99 | head -n 3; git archive HEAD | tar t; git stash list; git bisect start -q HEAD HEAD~3 2>&1 | tail -n 1
cd .. && git clone -q repo copy && git -C copy rev-parse HEAD && git -C copy status --short --branch
